// Requests to a source of data, their errors, and downloads.

// An error whose message is written for the user.
export class UserError extends Error {}

// Sends one request at a time. Of the requests that come meanwhile, only the latest is sent next.
export class LatestRequest {
  // respond(body) returns a promise of an answer
  constructor(respond, onAnswer, onError) {
    this.respond = respond;
    this.onAnswer = onAnswer;
    this.onError = onError;
    this.waiting = null;
    this.busy = false;
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
    if (content === null || this.busy) return;
    this.waiting = null;
    this.busy = true;
    try {
      const answer = await this.respond(content.body);
      // an answer that is not needed any more is dropped
      if (!content.current || content.current()) this.onAnswer(answer, content);
    } catch (error) {
      this.onError(error);
    }
    this.busy = false;
    this.send();
  }
}

export function download(content, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.download = name;
  link.click();
  // the browser needs the address until the download has begun
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
