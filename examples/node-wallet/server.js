// A wallet that is topped up by card. Start: node server.js

import {createHash, timingSafeEqual} from 'node:crypto';
import http from 'node:http';

import {Journal} from './journal.js';
import {toDecimal, toMinor} from './money.js';
import {Psp} from './psp.js';
import {Transfers} from './transfers.js';

const REQUIRED = ['PSP_URL', 'PSP_API_KEY', 'API_TOKEN', 'ADMIN_TOKEN', 'JOURNAL'];
const LARGEST_BODY = 64 * 1024;

class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function main(settings) {
  const missing = REQUIRED.filter((name) => !settings[name]);
  if (missing.length > 0) {
    console.error(`node-wallet: set ${missing.join(', ')}`);
    process.exit(1);
  }
  const {journal, records} = await Journal.open(settings.JOURNAL);
  const psp = new Psp(settings.PSP_URL, settings.PSP_API_KEY);
  const transfers = new Transfers(journal, psp, {fixed: settings.FIXED === '1'});
  transfers.restore(records);

  const server = http.createServer(async (request, response) => {
    const [status, body, headers] = await answer(request, transfers, settings);
    response.writeHead(status, {'Content-Type': 'application/json', ...headers});
    response.end(`${JSON.stringify(body)}\n`);
  });
  server.keepAliveTimeout = 60_000;
  const host = settings.HOST ?? '127.0.0.1';
  server.listen(Number(settings.PORT ?? 8080), host, () => {
    console.log(`node-wallet: serving on http://${host}:${server.address().port}`);
  });
  // Whatever is under way is in the journal, and is taken up at the next start.
  process.on('SIGTERM', () => process.exit(0));
}

async function answer(request, transfers, settings) {
  try {
    return await route(request, transfers, settings);
  } catch (error) {
    if (error instanceof Refusal) return [error.status, {error: error.message}];
    console.error(`${request.method} ${request.url.split('?')[0]}: ${error.stack}`);
    return [500, {error: 'internal error'}];
  }
}

async function route(request, transfers, settings) {
  const {pathname, searchParams} = new URL(request.url, 'http://wallet');
  const id = /^\/transfers\/(\w+)$/.exec(pathname)?.[1];
  switch (`${request.method} ${id ? '/transfers/:id' : pathname}`) {
    case 'GET /health':
      return [200, {status: 'ok'}];
    case 'POST /transfers':
      authorize(request, settings.API_TOKEN);
      return transfer(request, transfers);
    case 'GET /transfers/:id':
      authorize(request, settings.API_TOKEN);
      return [200, shown(found(transfers.get(id)))];
    case 'GET /transfers': {
      authorize(request, settings.API_TOKEN);
      const named = transfers.withReference(searchParams.get('reference'));
      found(named[0]);
      return [200, {transfers: named.map(shown)}];
    }
    case 'GET /export':
      authorize(request, settings.ADMIN_TOKEN);
      return [200, {transfers: transfers.all().map(exported)}];
    default:
      throw new Refusal(404, 'no such page');
  }
}

async function transfer(request, transfers) {
  const requestId = request.headers['x-request-id'];
  if (!requestId) throw new Refusal(400, 'X-Request-Id is missing');
  const accepted = await transfers.accept(requestId, wanted(await read(request)));
  if (accepted === null) {
    throw new Refusal(422, 'this X-Request-Id was used for another transfer');
  }
  const body = shown(accepted);
  return [accepted.status === 'pending' ? 202 : 200, body, {Location: body.status_url}];
}

function wanted({reference, amount, currency, source}) {
  for (const [name, value] of Object.entries({reference, source})) {
    if (typeof value !== 'string' || value === '') throw new Refusal(400, `${name} is missing`);
  }
  if (typeof currency !== 'string' || !/^[A-Z]{3}$/.test(currency)) {
    throw new Refusal(400, 'currency must be a code such as EUR');
  }
  const minor = toMinor(amount, currency);
  if (minor === null) throw new Refusal(400, 'amount must be a text such as "12.34"');
  return {reference, minor, currency, source};
}

async function read(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > LARGEST_BODY) throw new Refusal(413, 'the body is too large');
  }
  try {
    return Object(JSON.parse(text));
  } catch {
    throw new Refusal(400, 'the body is not JSON');
  }
}

function shown({id, reference, minor, currency, status}) {
  const amount = toDecimal(minor, currency);
  return {id, reference, amount, currency, status, status_url: `/transfers/${id}`};
}

function exported(transfer) {
  const {status_url: _, ...rest} = shown(transfer);
  const {payment = null, createdAt, updatedAt} = transfer;
  return {...rest, psp_payment: payment, created_at: createdAt, updated_at: updatedAt};
}

function found(transfer) {
  if (transfer === undefined) throw new Refusal(404, 'no such transfer');
  return transfer;
}

function authorize(request, token) {
  const digest = (text) => createHash('sha256').update(text).digest();
  const given = request.headers.authorization ?? '';
  if (!timingSafeEqual(digest(given), digest(`Bearer ${token}`))) {
    throw new Refusal(401, 'a valid bearer token is needed');
  }
}

await main(process.env);
