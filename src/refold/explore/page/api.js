// Requests to a source of data, their errors, and downloads.

import { makeElement } from "./dom.js";

// An error whose message is written for the user.
export class UserError extends Error {}

// Sends one request at a time. Of the requests that come meanwhile, only the latest is sent next.
export class LatestRequest {
  // respond(body) returns a promise of an answer
  constructor(respond, onAnswer, onError) {
    Object.assign(this, { respond, onAnswer, onError, waiting: null, isBusy: false });
  }

  // Browsers report moves of a pointer once per frame, so there is at most one request per frame.
  ask(content) {
    this.waiting = content;
    this.send();
  }

  cancel() {
    this.waiting = null;
  }

  async send() {
    const content = this.waiting;
    if (content === null || this.isBusy) return;
    this.waiting = null;
    this.isBusy = true;
    try {
      const answer = await this.respond(content.body);
      if (!content.isNeeded || content.isNeeded()) this.onAnswer(answer, content);
    } catch (error) {
      this.onError(error);
    }
    this.isBusy = false;
    this.send();
  }
}

export function download(blob, fileName) {
  const link = makeElement("a", { href: URL.createObjectURL(blob), download: fileName });
  link.click();
  // the browser needs the address until the download has begun
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
