// A real OpenID provider on loopback, for people who need no password.
// node provider.mjs PORT REDIRECT_URI; run where node finds the package oidc-provider.
import { generateKeyPairSync } from 'node:crypto';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [, , port, redirect] = process.argv;
const found = createRequire(process.cwd() + '/').resolve('oidc-provider');
const { default: Provider } = await import(pathToFileURL(found));

const issuer = `http://127.0.0.1:${port}`;
const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...pair.privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256' };
const groups = { alice: ['keepers', 'writers'], bob: ['readers'] };

const provider = new Provider(issuer, {
  jwks: { keys: [key] },
  cookies: { keys: ['for-tests-only'] },
  clients: [
    {
      client_id: 'packages',
      client_secret: 'a secret: with / signs & more',
      redirect_uris: [redirect],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    },
  ],
  pkce: { required: () => true },
  scopes: ['openid', 'profile', 'email', 'groups'],
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username'],
    email: ['email', 'email_verified'],
    groups: ['groups'],
  },
  features: { devInteractions: { enabled: true } },
  findAccount: async (_context, id) => ({
    accountId: id,
    claims: async () => ({
      sub: id,
      preferred_username: id,
      name: id,
      email: `${id}@team.example`,
      email_verified: true,
      groups: groups[id] ?? [],
    }),
  }),
});
provider.listen(Number(port), '127.0.0.1', () => console.log(`ready ${issuer}`));
