"""A SAML identity provider made of PyPI's pysaml2, for the whole-login tests.

    idp.py '{"port": 0, "people": {"ada": {"mail": ["ada@acme.example"], "isMemberOf": ["learning"]}}}'

Every variant has its own entity under its own path, and is named by what it does: `{key}-{signed}[-{cipher}]` with key
`rsa` or `ec`, signed `response`, `assertion` or `both`, and cipher `aes128`, `aes256` or `3des` (pysaml2's own choice).
So `/rsa-assertion/metadata` is an entity ID. With `-by-redirect` or `-by-post` at its end it takes part in single logout by
that binding: `/slo` for messages, `/logout` to begin. Prints one JSON line when it listens; ends when stdin closes.

Two of pysaml2's constants are widened: it signs with whatever key xmlsec1 can use but lists RSA algorithms only, and it
encrypts with triple DES unless told otherwise, without a setting to tell it.
"""

import base64
import functools
import html
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import saml2.entity
import saml2.sigver
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from datetime import datetime, timedelta, timezone
from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT, samlp, xmldsig
from saml2.authn_context import PASSWORDPROTECTEDTRANSPORT
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.s_utils import decode_base64_and_inflate
from saml2.saml import NAME_FORMAT_URI, NAMEID_FORMAT_EMAILADDRESS, NAMEID_FORMAT_PERSISTENT, NameID
from saml2.server import Server
from saml2.sigver import verify_redirect_signature

VARIANT = re.compile(r"^(rsa|ec)-(response|assertion|both)(?:-(aes128|aes256|3des))?(?:-by-(redirect|post))?$")
CIPHERS = {
    "aes128": ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "aes-128"),
    "aes256": ("http://www.w3.org/2001/04/xmlenc#aes256-cbc", "aes-256"),
    "3des": ("http://www.w3.org/2001/04/xmlenc#tripledes-cbc", "des-192"),
}
LOGOUT = {"redirect": BINDING_HTTP_REDIRECT, "post": BINDING_HTTP_POST}
SIGNING = {"rsa": xmldsig.SIG_RSA_SHA256, "ec": xmldsig.SIG_ECDSA_SHA256}

saml2.entity.SIG_ALLOWED_ALG += (("SIG_ECDSA_SHA256", xmldsig.SIG_ECDSA_SHA256),)

settings = json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}")
people = settings.get("people", {})
folder = tempfile.mkdtemp(prefix="usher-pysaml2-")
# The cipher is chosen by replacing a function of pysaml2, hence one answer at a time.
one_at_a_time = threading.Lock()
base_url = ""
# Who signed in last through a variant: service provider, NameID and SessionIndex.
logins = {}


def write_key(kind):
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"pysaml2 {kind}")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    with open(os.path.join(folder, f"{kind}.key"), "wb") as out:
        out.write(pem)
    with open(os.path.join(folder, f"{kind}.crt"), "wb") as out:
        out.write(certificate.public_bytes(serialization.Encoding.PEM))


def configuration(variant, sp_metadata=None, only_signed=False):
    kind, *_, logout = VARIANT.match(variant).groups()
    sso = f"{base_url}/{variant}/sso"
    described = {
        "entityid": f"{base_url}/{variant}/metadata",
        "key_file": os.path.join(folder, f"{kind}.key"),
        "cert_file": os.path.join(folder, f"{kind}.crt"),
        "service": {
            "idp": {
                "endpoints": {"single_sign_on_service": [(sso, BINDING_HTTP_REDIRECT), (sso, BINDING_HTTP_POST)]},
                "name_id_format": [NAMEID_FORMAT_PERSISTENT, NAMEID_FORMAT_EMAILADDRESS],
                "policy": {"default": {"lifetime": {"minutes": 5}, "name_form": NAME_FORMAT_URI}},
            }
        },
    }
    if logout:
        endpoints = described["service"]["idp"]["endpoints"]
        endpoints["single_logout_service"] = [(f"{base_url}/{variant}/slo", LOGOUT[logout])]
    if only_signed:
        described["service"]["idp"]["want_authn_requests_signed"] = True
    if sp_metadata:
        described["metadata"] = {"inline": [sp_metadata]}
    return IdPConfig().load(described)


def encrypt_with(cipher):
    method, session_key = CIPHERS[cipher or "3des"]
    template = functools.partial(saml2.sigver.pre_encryption_part, msg_enc=method)
    saml2.entity.pre_encryption_part = template
    plain = saml2.sigver.CryptoBackendXmlSec1.encrypt_assertion

    def encrypt(self, statement, enc_key, template, key_type=None, node_xpath=None, node_id=None):
        return plain(self, statement, enc_key, template, session_key, node_xpath, node_id)

    return encrypt


def answer(variant, request, relay_state, username):
    kind, signed, cipher, _ = VARIANT.match(variant).groups()
    issuer = samlp.authn_request_from_string(decode_base64_and_inflate(request)).issuer.text.strip()
    server = Server(config=configuration(variant, fetched(issuer)))
    parsed = server.parse_authn_request(request, BINDING_HTTP_REDIRECT).message
    where = server.response_args(parsed)
    name_id = NameID(format=NAMEID_FORMAT_PERSISTENT, text=f"{username}-persistent")
    plain = saml2.sigver.CryptoBackendXmlSec1.encrypt_assertion
    saml2.sigver.CryptoBackendXmlSec1.encrypt_assertion = encrypt_with(cipher)
    try:
        made = server.create_authn_response(
            people[username],
            in_response_to=parsed.id,
            destination=where["destination"],
            sp_entity_id=issuer,
            name_id=name_id,
            authn={"class_ref": PASSWORDPROTECTEDTRANSPORT, "authn_auth": base_url},
            sign_response=signed in ("response", "both"),
            sign_assertion=signed in ("assertion", "both"),
            encrypt_assertion=cipher is not None,
            encrypt_assertion_self_contained=True,
            sign_alg=SIGNING[kind],
            digest_alg=xmldsig.DIGEST_SHA256,
        )
    finally:
        saml2.sigver.CryptoBackendXmlSec1.encrypt_assertion = plain
    session = re.search(r'SessionIndex="([^"]+)"', str(made))
    logins[variant] = (issuer, name_id, session and session.group(1))
    posted = server.apply_binding(
        BINDING_HTTP_POST, str(made), where["destination"], relay_state, response=True, sign=False
    )
    return posted["data"]


def fetched(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()


def sent(server, binding, message, destination, relay_state, is_response):
    """What the browser is to do with a signed message: where to go, or a page that posts it."""
    made = server.apply_binding(
        binding, str(message), destination, relay_state, response=is_response,
        sign=binding == BINDING_HTTP_REDIRECT, sigalg=xmldsig.SIG_RSA_SHA256,
    )
    if binding == BINDING_HTTP_REDIRECT:
        return dict(made["headers"])["Location"], None
    return None, made["data"]


def begin_logout(variant):
    binding = LOGOUT[VARIANT.match(variant).group(4)]
    sp, name_id, session = logins.pop(variant)
    server = Server(config=configuration(variant, fetched(sp)))
    destination = server.metadata.single_logout_service(sp, binding, "spsso")[0]["location"]
    _, request = server.create_logout_request(
        destination, sp, name_id=name_id, session_indexes=[session], sign=binding == BINDING_HTTP_POST,
        sign_alg=xmldsig.SIG_RSA_SHA256, digest_alg=xmldsig.DIGEST_SHA256,
    )
    return sent(server, binding, request, destination, "begun-at-pysaml2", False)


def take_request(variant, binding, fields):
    """A service provider asks: only what is signed by its key counts."""
    sp, name_id, session = logins[variant]
    server = Server(config=configuration(variant, fetched(sp), only_signed=True))
    parsed = server.parse_logout_request(
        fields["SAMLRequest"], binding, fields.get("RelayState"), fields.get("SigAlg"), fields.get("Signature")
    ).message
    same = parsed.name_id.text == name_id.text and [one.text for one in parsed.session_index] == [session]
    if not same or parsed.issuer.text != sp:
        raise ValueError("the request is about somebody else")
    logins.pop(variant)
    response = server.create_logout_response(
        parsed, [binding], sign=binding == BINDING_HTTP_POST,
        sign_alg=xmldsig.SIG_RSA_SHA256, digest_alg=xmldsig.DIGEST_SHA256,
    )
    destination = server.metadata.single_logout_service(sp, binding, "spsso")[0]["location"]
    return sent(server, binding, response, destination, fields.get("RelayState", ""), True)


def take_response(variant, binding, fields):
    """The answer to our request: its signature by the key in the service provider's metadata, and its status."""
    plain = decode_base64_and_inflate if binding == BINDING_HTTP_REDIRECT else base64.b64decode
    sp = samlp.logout_response_from_string(plain(fields["SAMLResponse"])).issuer.text
    server = Server(config=configuration(variant, fetched(sp)))
    if binding == BINDING_HTTP_REDIRECT:
        certificates = [one[1] for one in server.metadata.certs(sp, "spsso", "signing")]
        if not any(verify_redirect_signature(fields, server.sec.sec_backend, one) for one in certificates):
            raise ValueError("the answer is not signed by the service provider")
    parsed = server.parse_logout_request_response(fields["SAMLResponse"], binding)
    if binding == BINDING_HTTP_POST:
        server.sec.correctly_signed_logout_response(parsed.xmlstr, must=True, origdoc=parsed.xmlstr)
    status = parsed.response.status.status_code.value.rsplit(":", 1)[-1]
    return None, f"The application said {status}; RelayState {fields.get('RelayState')}"


def take(variant, binding, fields):
    return (take_request if "SAMLRequest" in fields else take_response)(variant, binding, fields)


def login_page(variant, request, relay_state):
    buttons = " ".join(
        f'<button name="username" value="{html.escape(name)}">{html.escape(name)}</button>' for name in people
    )
    return (
        "<!doctype html><meta charset=utf-8><title>Sign in</title>"
        f'<form method="post" action="/{variant}/login">'
        f'<input type="hidden" name="SAMLRequest" value="{html.escape(request)}">'
        f'<input type="hidden" name="RelayState" value="{html.escape(relay_state)}">{buttons}</form>'
    )


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        variant, page = self.route(url.path)
        if page == "metadata":
            xml = str(entity_descriptor(configuration(variant)))
            return self.reply(200, xml, "application/samlmetadata+xml")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if page == "slo":
            return self.told(take, variant, BINDING_HTTP_REDIRECT, query)
        if page == "logout":
            return self.reply(200, f'<!doctype html><title>Out</title><form method="post" action="/{variant}/logout"></form>')
        if page == "sso" and "SAMLRequest" in query:
            return self.reply(200, login_page(variant, query["SAMLRequest"], query.get("RelayState", "")))
        return self.reply(404, "nothing here")

    def do_POST(self):
        variant, page = self.route(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        if page == "slo":
            return self.told(take, variant, BINDING_HTTP_POST, form)
        if page == "logout":
            return self.told(begin_logout, variant)
        if page != "login":
            return self.reply(404, "nothing here")
        with one_at_a_time:
            made = answer(variant, form["SAMLRequest"], form.get("RelayState", ""), form["username"])
        return self.reply(200, made)

    def told(self, step, *arguments):
        """Goes where a step of a logout leads, or says what stopped it."""
        try:
            with one_at_a_time:
                location, page = step(*arguments)
        except Exception as error:
            return self.reply(400, f"{type(error).__name__}: {error}")
        if page:
            return self.reply(200, page)
        self.send_response(303)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        return self.end_headers()

    def route(self, path):
        parts = path.strip("/").split("/")
        return parts if len(parts) == 2 and VARIANT.match(parts[0]) else ("", "")

    def reply(self, status, text, kind="text/html; charset=utf-8"):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


def end_with_parent():
    sys.stdin.buffer.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


for kind in SIGNING:
    write_key(kind)
listening = ThreadingHTTPServer(("127.0.0.1", settings.get("port", 0)), Handler)
base_url = f"http://127.0.0.1:{listening.server_port}"
threading.Thread(target=end_with_parent, daemon=True).start()
print(json.dumps({"base_url": base_url}), flush=True)
listening.serve_forever()
