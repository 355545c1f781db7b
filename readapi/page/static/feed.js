// The feed: one WebSocket that connects by itself, again and again, and subscribes to what is
// wanted. A gap in a channel is mended by subscribing to it anew.

const AGAIN_MS_MIN = 250;
const AGAIN_MS_MAX = 4000;
const SILENT_MS_MAX = 12_000; // The feed has a heartbeat every 5 s.
const LOOK_MS = 1000;

export class Feed {
  /** `listeners` has `message(channel, message)` and `state(isLive)`. */
  constructor(key, listeners) {
    this.key = key;
    this.listeners = listeners;
    this.wanted = new Set();
    this.sequences = new Map();
    this.again = AGAIN_MS_MIN;
    this.heard = 0;
    this.isLive = false;
    setInterval(() => this.look(), LOOK_MS);
    this.connect();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/feed`);
    this.heard = performance.now();
    const socket = this.socket;
    socket.addEventListener("open", () => {
      this.send({ op: "auth", key: this.key() });
      this.subscribe([...this.wanted]);
    });
    socket.addEventListener("message", (event) => {
      if (socket === this.socket) this.receive(event.data);
    });
    socket.addEventListener("close", () => {
      if (socket !== this.socket) return;
      this.become(false);
      this.sequences.clear();
      setTimeout(() => this.connect(), this.again);
      this.again = Math.min(this.again * 2, AGAIN_MS_MAX);
    });
  }

  /** A connection that is silent is as good as none. */
  look() {
    if (this.socket.readyState < WebSocket.CLOSING && performance.now() - this.heard > SILENT_MS_MAX) {
      this.socket.close();
    }
  }

  /** Subscribe to exactly these channels. */
  want(channels) {
    const wanted = new Set(channels);
    const gone = [...this.wanted].filter((channel) => !wanted.has(channel));
    const come = [...wanted].filter((channel) => !this.wanted.has(channel));
    this.wanted = wanted;
    for (const channel of gone) this.sequences.delete(channel);
    if (this.socket.readyState !== WebSocket.OPEN) return;
    if (gone.length) this.send({ op: "unsubscribe", channels: gone });
    this.subscribe(come);
  }

  /** Each channel by itself, so that one that is refused takes no other with it. */
  subscribe(channels) {
    for (const channel of channels) this.send({ op: "subscribe", channels: [channel] });
  }

  send(message) {
    this.socket.send(JSON.stringify(message));
  }

  receive(text) {
    this.heard = performance.now();
    const message = JSON.parse(text);
    if (message.type === "heartbeat") {
      this.again = AGAIN_MS_MIN;
      this.become(true);
      return;
    }
    if (!this.wanted.has(message.channel)) return;
    this.again = AGAIN_MS_MIN;
    this.become(true);
    if (!this.follows(message)) {
      this.sequences.delete(message.channel);
      this.send({ op: "unsubscribe", channels: [message.channel] });
      this.send({ op: "subscribe", channels: [message.channel] });
      return;
    }
    this.listeners.message(message.channel, message);
  }

  /** Whether nothing is missing between the last message of the channel and this one. */
  follows(message) {
    const { channel, type, sequence } = message;
    if (!channel.startsWith("book:") && !channel.startsWith("trades:")) return true;
    const before = this.sequences.get(channel);
    if (type !== "snapshot") {
      if (before === undefined) return true; // Of before a new snapshot that is on its way.
      const first = message.first_sequence ?? sequence;
      if (first > before + 1) return false;
    }
    this.sequences.set(channel, sequence);
    return true;
  }

  become(isLive) {
    if (isLive === this.isLive) return;
    this.isLive = isLive;
    this.listeners.state(isLive);
  }
}
