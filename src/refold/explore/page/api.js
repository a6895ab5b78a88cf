// What the page needs of any source of its data: failures, the latest request, and downloads.

// A failure that the reader can understand, as one sentence.
export class UserError extends Error {}

// One request at a time; of those that come meanwhile, the latest is sent next.
export class LatestRequest {
  constructor(answer, answered, failed) {
    this.answer = answer;
    this.answered = answered;
    this.failed = failed;
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
      const found = await this.answer(content.body);
      if (!content.current || content.current()) this.answered(found, content);
    } catch (error) {
      this.failed(error);
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
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
