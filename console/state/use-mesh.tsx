/** The state of the mesh that all pages share, followed live. */
import { createContext } from "preact";
import { useContext, useEffect, useRef, useState } from "preact/hooks";
import { isSignedOut } from "../api/call-error.js";
import { call } from "../api/client.js";
import { follow } from "../api/events.js";
import type { Status } from "../api/messages.js";
import type { EventOf, Session } from "../api/methods.js";
import { type Loaded, nothingYet } from "./loaded.js";
import { useLoaded } from "./use-loaded.js";

export interface Mesh {
  readonly session: Session;
  readonly status: Loaded<Status>;
  /** Increases with each activation while the page is open. Pages that show what activations change load again. */
  readonly turn: number;
  /** Whether the stream of activations is open. False: what is shown may be old. */
  readonly connected: boolean;
  readonly refresh: () => void;
}

const statusEveryMs = 5000;

export const MeshContext = createContext<Mesh>({
  session: { operator: "", rights: [], mesh: "", expires: 0 },
  status: nothingYet,
  turn: 0,
  connected: true,
  refresh: () => undefined,
});

export const useMesh = (): Mesh => useContext(MeshContext);

/** Follows the mesh for the whole console. */
export function useFollowedMesh(session: Session, onSignedOut: () => void): Mesh {
  const [turn, setTurn] = useState(0);
  const [epoch, setEpoch] = useState(0);
  const [connected, setConnected] = useState(true);
  /** The newest epoch that what is shown was asked for after; undefined: that is not known yet. */
  const shown = useRef<number>(undefined);
  useEffect(() => {
    let isCut = false;
    const onConnected = (there: boolean): void => {
      setConnected(there);
      if (there && isCut) setTurn((before) => before + 1); // other things than activations may have happened meanwhile
      isCut = !there;
    };
    const onEvent = ({ activation }: EventOf<"WatchActivations">): void => setEpoch(activation?.epoch ?? 0);
    return follow("WatchActivations", {}, { onEvent, onConnected });
  }, []);
  const load = async (signal: AbortSignal): Promise<Status> => {
    try {
      return await call("GetStatus", {}, signal);
    } catch (error) {
      if (isSignedOut(error)) onSignedOut();
      throw error;
    }
  };
  const [status, refresh] = useLoaded("status", load, { everyMs: statusEveryMs, when: [turn] });
  // The stream begins with the present activation, which nearly always is what was loaded at the same time.
  const first = status.value?.epoch ?? (status.problem === undefined ? undefined : 0);
  useEffect(() => {
    if (first === undefined || epoch === 0) return;
    const before = shown.current ?? first;
    shown.current = Math.max(before, epoch);
    if (epoch > before) setTurn((count) => count + 1);
  }, [epoch, first === undefined]);
  return { session, status, turn, connected: connected && status.problem?.code !== "disconnected", refresh };
}

/** Returns the present time. It is updated every few seconds, so that "12 s ago" stays true. */
export function useNow(everyMs = 5000): number {
  const [nowMs, setNowMs] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return nowMs;
}
