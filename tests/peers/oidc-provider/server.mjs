// An OpenID provider made of npm's oidc-provider, started by a test with its settings as JSON in the first argument:
//   { "alg": "ES256", "anyLoopbackRedirect": true, "clients": [{…client metadata…}], "accounts": { "grace": { "email": …, "groups": [] } } }
// Prints one JSON line when it listens; ends when stdin closes. Sign-in and sign-out are plain forms; consent is taken as
// given. `POST /control/told-at` with {"client", "uri"} says where a client is told of logouts (Back-Channel Logout 1.0).

import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';

const settings = JSON.parse(process.argv[2] ?? '{}');
const alg = settings.alg ?? 'RS256';
const accounts = settings.accounts ?? {};

const keyTypes = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};

function signingKey() {
  const [type, options] = keyTypes[alg];
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: `peer-${alg}`, use: 'sig', alg };
}

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function loginPage(uid) {
  const people = Object.keys(accounts)
    .map((name) => `<button name="username" value="${escape(name)}">${escape(name)}</button>`).join(' ');
  return `<!doctype html><title>Sign in</title><form method="post" action="/interaction/${escape(uid)}">
<label>User name <input name="username"></label> <button>Sign in</button> ${people}</form>`;
}

// The port is taken first, because the issuer holds it.
const server = createServer();
server.listen(settings.port ?? 0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: settings.clients ?? [],
    clientDefaults: { id_token_signed_response_alg: alg },
    enabledJWA: {
      idTokenSigningAlgValues: [alg],
      clientAuthSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'],
    },
    jwks: { keys: [signingKey()] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['name', 'given_name', 'family_name', 'locale'],
      groups: ['groups'],
    },
    scopes: ['openid', 'email', 'profile', 'groups'],
    // Claims in the ID token as most deployments want them, or only from userinfo as Core 5.4 has it.
    conformIdTokenClaims: settings.claimsOnlyInUserinfo ?? false,
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => {
          const yes = '<input type="hidden" name="logout" value="yes"><button>Sign out</button></form>';
          ctx.body = `<!doctype html><title>Sign out</title>${form.replace('</form>', yes)}`;
        },
      },
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub, ...accounts[sub] }) }),
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope('openid email profile groups');
      await grant.save();
      return grant;
    },
  });
  if (settings.anyLoopbackRedirect) {
    // Tests learn their redirect URI only after the connection to this very provider is made.
    const isLoopback = (uri) => ['localhost', '127.0.0.1'].includes(new URL(uri).hostname);
    provider.Client.prototype.redirectUriAllowed = isLoopback;
    provider.Client.prototype.postLogoutRedirectUriAllowed = isLoopback;
  }
  const handle = provider.callback();

  async function interaction(request, response) {
    const uid = request.url.split('/')[2];
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
      response.end(loginPage(uid));
      return;
    }
    let body = '';
    for await (const chunk of request) body += chunk;
    const accountId = new URLSearchParams(body).get('username');
    const result = accountId in accounts
      ? { login: { accountId } }
      : { error: 'access_denied', error_description: 'nobody of that name' };
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  }

  async function control(request, response) {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { client, uri } = JSON.parse(body);
    (await provider.Client.find(client)).backchannelLogoutUri = uri;
    response.writeHead(204).end();
  }

  server.on('request', (request, response) => {
    if (request.url === '/control/told-at') return control(request, response);
    if (!request.url.startsWith('/interaction/')) return handle(request, response);
    return interaction(request, response).catch((error) => {
      console.error(error);
      response.writeHead(500).end('the sign-in failed');
    });
  });
  console.log(JSON.stringify({ issuer, alg }));
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
