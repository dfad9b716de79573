// An append-only file of JSON lines. What was appended is on disk when append() resolves.

import {open} from 'node:fs/promises';
import {dirname} from 'node:path';

const NEWLINE = 0x0a;

export class Journal {
  #file;
  #waiting = []; // [line, resolve] of what is not written yet
  #writing = false;

  constructor(file) {
    this.#file = file;
  }

  /** Opens the journal, or begins one, and gives the records in it. */
  static async open(path) {
    const file = await open(path, 'a+', 0o600);
    const bytes = await file.readFile();
    // A crash may leave half a line. Nobody was told of it, so it is cut off.
    const whole = bytes.lastIndexOf(NEWLINE) + 1;
    if (whole < bytes.length) await file.truncate(whole);
    await file.sync();
    await syncFolder(dirname(path));
    const lines = bytes.subarray(0, whole).toString().split('\n').slice(0, -1);
    return {journal: new Journal(file), records: lines.map((line) => JSON.parse(line))};
  }

  append(record) {
    return new Promise((resolve) => {
      this.#waiting.push([`${JSON.stringify(record)}\n`, resolve]);
      if (!this.#writing) this.#write();
    });
  }

  // Everything that came in while the last batch was written shares the next fsync. A journal
  // that cannot be written ends the process: what is half written is cut off at the next start.
  async #write() {
    this.#writing = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      await this.#file.appendFile(batch.map(([line]) => line).join(''));
      await this.#file.datasync();
      for (const [, resolve] of batch) resolve();
    }
    this.#writing = false;
  }
}

async function syncFolder(path) {
  const folder = await open(path, 'r');
  await folder.sync();
  await folder.close();
}
