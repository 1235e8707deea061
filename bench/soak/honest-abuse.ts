/** The worst that honest callers and applications do to a proxy, all the time, beside a steady load. */
import { join } from "node:path";
import { pause } from "../../test/conformance/child.js";
import { connectSocket, type Mesh, type MeshProxy } from "../../test/conformance/mesh.js";
import { troubles } from "../../test/conformance/troubles.js";
import { HostileUpstream } from "../../test/conformance/upstream.js";
import { GoPeer } from "./go-peers.js";

/** The services of the checks' policy that everybody may call. */
const goServices = ["interop", "tight"];
const goCallsPerSecond = 150;
/** How long a client on grpc-go runs, in seconds. */
const goSeconds = 30;

export class HonestAbuse {
  readonly proxies: MeshProxy[] = [];
  /** What went wrong for these callers, and how often. */
  readonly wrong = new Map<string, number>();
  /** The number of calls of grpc-go's clients. */
  goCalls = 0;
  readonly #mesh: Mesh;
  readonly #wild = new HostileUpstream();
  readonly #stop = new AbortController();
  #goPeers: GoPeer[] = [];
  #work: Promise<unknown> = Promise.resolve();

  constructor(mesh: Mesh) {
    this.#mesh = mesh;
  }

  /** Prepares the applications and their proxies. Those on grpc-go are left out where it cannot be built. */
  async prepare(): Promise<void> {
    const mesh = this.#mesh;
    const app = join(mesh.dir, "wild.sock");
    await this.#wild.listen(app);
    this.#wild.become((peer) => peer.close());
    this.proxies.push(await mesh.proxy({ name: "wild", service: "wild", app }));
    this.#goPeers = await GoPeer.build(mesh.root, mesh.dir, (why) => console.log(`left out: ${why}`));
    for (const [place, peer] of this.#goPeers.entries()) {
      const socket = join(mesh.dir, `go-${place}.sock`);
      await peer.serve(socket);
      const service = goServices[place] as string;
      this.proxies.push(await mesh.proxy({ name: service, service, app: socket }));
    }
  }

  /** Starts the callers. Must be called when the policy is in force. */
  async start(front: MeshProxy): Promise<void> {
    await this.#mesh.healthy("wild");
    for (const [place] of this.#goPeers.entries()) await this.#mesh.healthy(goServices[place] as string);
    const { signal } = this.#stop;
    this.#work = Promise.all([
      ...troubles.map(async ([name, trouble]) => {
        for (const [what, count] of await trouble(
          { open: () => connectSocket(front.outbound), scheme: "http" },
          signal,
        ))
          this.#note(`${name}: ${what}`, count);
      }),
      ...this.#goPeers.map((peer, place) => this.#goOn(peer, front.outbound, goServices[place] as string)),
    ]);
  }

  async #goOn(peer: GoPeer, socket: string, service: string): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        const { calls, failed, first } = await peer.call(socket, service, goCallsPerSecond, goSeconds);
        this.goCalls += calls;
        if (failed > 0) this.#note(`${peer.name}: ${first}`, failed);
      } catch (error) {
        this.#note(`${peer.name}: ${error instanceof Error ? error.message.slice(0, 200) : String(error)}`, 1);
        await pause(1000);
      }
    }
  }

  #note(what: string, count: number): void {
    this.wrong.set(what, (this.wrong.get(what) ?? 0) + count);
  }

  /** Stops all callers. Resolves when the last one has ended. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#work;
  }

  close(): void {
    this.#stop.abort();
    for (const peer of this.#goPeers) peer.stop();
    this.#wild.close();
  }
}
