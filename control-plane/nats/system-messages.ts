/** The messages of the NATS server over its system account, as far as they are used. */
import type { BusMessage } from "../../runtime/bus.js";
import type { UserConnection } from "./user-connections.js";

/** The client of a connect or disconnect event. */
export interface ClientInfo {
  readonly user?: string;
  readonly jwt?: string;
}

/** An open connection in a page of CONNZ. */
export interface Listed {
  readonly cid: number;
  readonly authorized_user?: string;
  readonly jwt?: string;
}

/** Parses a message. Fails if it is not JSON. */
export function parse({ data }: Pick<BusMessage, "data">): Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(data).toString("utf8")) as Record<string, unknown>;
}

/** The server and client of a connection. */
export type Place = Pick<UserConnection, "server" | "client">;

/** Returns the server and client that an event names. */
export function placeOf(event: Readonly<Record<string, unknown>>): Place {
  const { id: server } = event.server as { id: string };
  const { id: client } = event.client as { id: number };
  return { server, client };
}
