// Transfers into wallets: accepted at once, charged in the background, polled until done.

import {randomBytes} from 'node:crypto';
import {setTimeout as sleep} from 'node:timers/promises';

const FIRST_WAIT_MS = 200; // before the PSP is asked again; doubled each time
const LONGEST_WAIT_MS = 3000;

export class Transfers {
  #journal;
  #psp;
  #fixed;
  #transfers = new Map(); // id -> transfer
  #byReference = new Map(); // reference -> [transfer, …]
  #requests = new Map(); // request id -> {transfer, written}: what a repeated request gets

  constructor(journal, psp, {fixed}) {
    this.#journal = journal;
    this.#psp = psp;
    this.#fixed = fixed;
  }

  /** Takes up where the journal ends: what was under way is charged, under its own key. */
  restore(records) {
    for (const record of records) {
      if (record.type === 'accepted') {
        this.#add(record.transfer);
        if (this.#fixed) {
          this.#requests.set(record.requestId, {transfer: record.transfer, written: null});
        }
      } else {
        Object.assign(this.#transfers.get(record.id), record.outcome);
      }
    }
    for (const transfer of this.#transfers.values()) {
      if (transfer.status === 'pending') this.#settle(transfer);
    }
  }

  /** The transfer that a request stands for, once it is in the journal; null on a mix-up. */
  async accept(requestId, wanted) {
    const earlier = this.#requests.get(requestId);
    if (earlier) {
      if (!isSame(earlier.transfer, wanted)) return null;
      await earlier.written;
      return earlier.transfer;
    }
    const now = new Date().toISOString();
    const id = `tr_${randomBytes(10).toString('hex')}`;
    const transfer = {id, ...wanted, status: 'pending', createdAt: now, updatedAt: now};
    const written = this.#journal.append({type: 'accepted', requestId, transfer});
    this.#requests.set(requestId, {transfer, written});
    await written;
    this.#add(transfer);
    this.#settle(transfer);
    return transfer;
  }

  get(id) {
    return this.#transfers.get(id);
  }

  withReference(reference) {
    return this.#byReference.get(reference) ?? [];
  }

  all() {
    return [...this.#transfers.values()];
  }

  #add(transfer) {
    this.#transfers.set(transfer.id, transfer);
    const others = this.#byReference.get(transfer.reference) ?? [];
    this.#byReference.set(transfer.reference, [...others, transfer]);
  }

  async #settle(transfer) {
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      const {status, payment, why} = await this.#psp.charge(transfer);
      if (status !== 'unclear') {
        const outcome = {status, payment, updatedAt: new Date().toISOString()};
        await this.#journal.append({type: 'settled', id: transfer.id, outcome});
        Object.assign(transfer, outcome);
        return;
      }
      console.warn(`transfer ${transfer.id}: no clear answer from the PSP (${why}), asking again`);
      await sleep(wait * (0.5 + Math.random() / 2));
    }
  }
}

function isSame(transfer, wanted) {
  return Object.entries(wanted).every(([name, value]) => transfer[name] === value);
}
