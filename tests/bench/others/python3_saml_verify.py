"""Verifies SAML responses with python3-saml, strict: python3_saml_verify.py FOLDER SECONDS.

Prints how many were verified in how much CPU time, as JSON."""

import base64
import json
import pathlib
import sys
import time
from urllib.parse import urlsplit

from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings

folder, seconds = pathlib.Path(sys.argv[1]), float(sys.argv[2])
scene = json.loads((folder / "scene.json").read_text())
acs = urlsplit(scene["acs"])
binding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
settings = OneLogin_Saml2_Settings(
    {
        "strict": True,
        "sp": {"entityId": scene["sp"], "assertionConsumerService": {"url": scene["acs"], "binding": binding}},
        "idp": {
            "entityId": scene["idp"],
            "singleSignOnService": {"url": "https://idp.bench.example/saml/sso"},
            "x509cert": (folder / "idp.pem").read_text(),
        },
        "security": {"wantAssertionsSigned": True},
    }
)
request = {"https": "on", "http_host": acs.netloc, "script_name": acs.path, "get_data": {}, "post_data": {}}
responses = [
    (base64.b64encode((folder / f"{number}.xml").read_bytes()).decode(), answered)
    for number, answered in enumerate(scene["requests"])
]

verified = 0
start = time.process_time()
while time.process_time() - start < seconds:
    # Slow enough for the clock to be asked often.
    for response, answered in responses[:50]:
        OneLogin_Saml2_Response(settings, response).is_valid(request, answered, raise_exceptions=True)
        verified += 1
print(json.dumps({"verified": verified, "cpu_s": time.process_time() - start}))
