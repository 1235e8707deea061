/** A channel of grpc-js that sends reads to the destination's proxies and all else to the local one. */
import type { Channel } from "@grpc/grpc-js";
import { DirectCall } from "./direct-call.js";
import type { DirectRoute } from "./direct-route.js";

/** `channelOverride` of grpc-js takes it. Closing it closes what goes through the local proxy; the rest is shared. */
export class DirectChannel implements Omit<Channel, "internalChannel"> {
  readonly #proxied: Channel;
  readonly #route: Pick<DirectRoute, "pick">;
  #closed = false;

  constructor(proxied: Channel, route: Pick<DirectRoute, "pick">) {
    this.#proxied = proxied;
    this.#route = route;
  }

  close(): void {
    this.#closed = true;
    this.#proxied.close();
  }

  createCall(...asked: Parameters<Channel["createCall"]>): ReturnType<Channel["createCall"]> {
    const [path] = asked;
    const direct = this.#closed ? undefined : this.#route.pick(path.slice(1));
    if (direct === undefined) return this.#proxied.createCall(...asked);
    return new DirectCall(direct.createCall(...asked), () =>
      this.#closed ? undefined : this.#proxied.createCall(...asked),
    );
  }

  getTarget(): string {
    return this.#proxied.getTarget();
  }

  getConnectivityState(tryToConnect: boolean): ReturnType<Channel["getConnectivityState"]> {
    return this.#proxied.getConnectivityState(tryToConnect);
  }

  watchConnectivityState(...watched: Parameters<Channel["watchConnectivityState"]>): void {
    this.#proxied.watchConnectivityState(...watched);
  }

  getChannelzRef(): ReturnType<Channel["getChannelzRef"]> {
    return this.#proxied.getChannelzRef();
  }
}
