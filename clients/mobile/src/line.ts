// One WebSocket from its first packet to its last. Knows when it is dead, which a phone's network often
// does not say. Knows no event and no conversation.

declare const setTimeout: (act: () => void, ms: number) => unknown;
declare const clearTimeout: (timer: unknown) => void;

export interface Socket {
  // React Native's never changes: there only the server can say what has arrived.
  readonly bufferedAmount?: number;
  readonly readyState: number;
  onmessage: ((event: { data: unknown }) => void) | null;
  onerror: ((event: never) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export type SocketClass = new (url: string, protocols: string[]) => Socket;

const OPEN = 1;
const DONE = 1000;

export interface LineHandlers {
  frame(text: string): void;
  // Once, however it ends.
  lost(reason: string): void;
}

export class Line {
  private readonly socket: Socket;
  private timer: unknown;
  private deadMs: number | null = null;
  private over = false;

  // Within `connectMs` somebody has to say that the line is `up`.
  constructor(
    SocketOf: SocketClass,
    url: string,
    protocols: string[],
    connectMs: number,
    private readonly handlers: LineHandlers,
  ) {
    this.socket = new SocketOf(url, protocols);
    this.socket.onmessage = ({ data }) => this.take(String(data));
    this.socket.onerror = () => {}; // `close` follows, and says as much
    this.socket.onclose = ({ code, reason }) => this.end(`closed by the other side (${code}${reason && `: ${reason}`})`);
    this.timer = setTimeout(() => this.abandon(`nothing began within ${connectMs} ms`), connectMs);
  }

  get isOpen(): boolean {
    return !this.over && this.socket.readyState === OPEN;
  }

  get bufferedBytes(): number {
    return this.socket.bufferedAmount ?? 0;
  }

  send(text: string): void {
    this.socket.send(text);
  }

  // It serves its purpose. Where there is always a frame to come, a silence of `deadMs` means from now on
  // that the network is gone; null: where there is not.
  up(deadMs: number | null): void {
    this.deadMs = deadMs;
    clearTimeout(this.timer);
    this.watch();
  }

  // Says goodbye; nothing more is heard of it.
  close(): void {
    this.over = true;
    clearTimeout(this.timer);
    this.socket.close(DONE);
  }

  private take(text: string): void {
    if (this.over) return;
    this.watch();
    this.handlers.frame(text);
  }

  private watch(): void {
    const ms = this.deadMs;
    if (ms === null || this.over) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.abandon(`nothing came for ${ms} ms`), ms);
  }

  private abandon(reason: string): void {
    this.end(reason);
    this.socket.close(4000, 'given up'); // any code but the one that means goodbye
  }

  private end(reason: string): void {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.timer);
    this.handlers.lost(reason);
  }
}
