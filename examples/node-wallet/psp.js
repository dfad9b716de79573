// The PSP's API, as far as a wallet needs it: form-encoded requests, JSON answers.

import http from 'node:http';
import https from 'node:https';

const TIMEOUT_MS = 2000;

export class Psp {
  #url;
  #apiKey;
  #transport;
  #agent;

  constructor(url, apiKey) {
    this.#url = new URL('/v1/payment_intents', url);
    this.#apiKey = apiKey;
    this.#transport = this.#url.protocol === 'https:' ? https : http;
    this.#agent = new this.#transport.Agent({keepAlive: true, maxSockets: 64});
  }

  /**
   * Takes the money for a transfer: completed, declined, failed, or unclear when there was no
   * answer that settles it. A transfer has one key, so asking again cannot charge again.
   */
  async charge(transfer) {
    const form = new URLSearchParams({
      amount: transfer.minor,
      currency: transfer.currency.toLowerCase(),
      payment_method: transfer.source,
      'payment_method_types[]': 'card',
      confirm: 'true',
      'metadata[reference]': transfer.reference,
      'metadata[transfer]': transfer.id,
    });
    let status, body;
    try {
      [status, body] = await this.#post(form.toString(), `transfer-${transfer.id}`);
    } catch (error) {
      return {status: 'unclear', why: error.code ?? error.name};
    }
    if (status === 200 && body.status === 'succeeded') {
      return {status: 'completed', payment: body.id};
    }
    if (status === 402) return {status: 'declined', payment: body.error?.payment_intent?.id};
    if (status === 400) return {status: 'failed', why: body.error?.code};
    return {status: 'unclear', why: `status ${status}`};
  }

  #post(form, key) {
    const options = {
      method: 'POST',
      agent: this.#agent,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        Authorization: `Bearer ${this.#apiKey}`,
        'Content-Type': 'application/x-www-form-urlencoded',
        'Content-Length': Buffer.byteLength(form),
        'Idempotency-Key': key,
      },
    };
    return new Promise((resolve, reject) => {
      const request = this.#transport.request(this.#url, options, async (answer) => {
        try {
          let text = '';
          for await (const chunk of answer.setEncoding('utf8')) text += chunk;
          resolve([answer.statusCode, JSON.parse(text)]);
        } catch (error) {
          reject(error);
        }
      });
      request.on('error', reject);
      request.end(form);
    });
  }
}
