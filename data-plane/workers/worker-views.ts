/** A worker's views of identity, endpoints and application. Each has the last state that the first process sent. */
import { AshlarError } from "../../core/errors.js";
import type { Endpoint } from "../../core/model.js";
import { type AppliedReport, AppliedWrites } from "../agent/applied-writes.js";
import type {
  AppliedView,
  AppRegistration,
  AppView,
  CallIdentity,
  CallIdentityView,
  FollowedEndpoints,
} from "../ports.js";
import { listen } from "../sync/policy-view.js";
import type { Question } from "./messages.js";

/** Returns the identity without NATS credentials, which workers do not get. */
export function forCalls(identity: CallIdentity): CallIdentity {
  const { mesh, proxyId, service, version, spiffeId, certificateChainPem, privateKeyPem, serial, notAfterMs } =
    identity;
  return { mesh, proxyId, service, version, spiffeId, certificateChainPem, privateKeyPem, serial, notAfterMs };
}

export class WorkerIdentity implements CallIdentityView {
  readonly #listeners = new Set<() => void>();
  #current: CallIdentity | undefined;

  get current(): CallIdentity {
    if (this.#current === undefined) throw new AshlarError("internal", "a worker without an identity");
    return this.#current;
  }

  onRotate(listener: () => void): () => void {
    return listen(this.#listeners, listener);
  }

  set(identity: CallIdentity): void {
    this.#current = identity;
    for (const listener of this.#listeners) listener();
  }
}

export class WorkerApp implements AppView {
  readonly #refused: (app: AppRegistration) => void;
  readonly #listeners = new Set<(app: AppRegistration | undefined) => void>();
  current: AppRegistration | undefined;

  /** `refused` tells the first process that the application refused. */
  constructor(refused: (app: AppRegistration) => void) {
    this.#refused = refused;
  }

  onChange(listener: (app: AppRegistration | undefined) => void): () => void {
    return listen(this.#listeners, listener);
  }

  /** Removes the application from this worker's routing at once. The first process decides for all workers. */
  reportRefused(app: AppRegistration): void {
    if (app !== this.current) return;
    this.#refused(app);
    this.set(undefined);
  }

  set(app: AppRegistration | undefined): void {
    this.current = app;
    for (const listener of this.#listeners) listener(app);
  }
}

export class WorkerApplied implements AppliedView {
  readonly #listeners = new Set<(report: AppliedReport | undefined) => void>();
  applied: AppliedWrites | undefined;

  onApplied(listener: (report: AppliedReport | undefined) => void): () => void {
    return listen(this.#listeners, listener);
  }

  /** Takes a report. `isNew`: it replaces earlier reports. */
  hear(report: AppliedReport | undefined, isNew: boolean): void {
    if (isNew) this.applied = undefined;
    if (report !== undefined) {
      this.applied ??= new AppliedWrites();
      this.applied.hear(report);
    }
    for (const listener of this.#listeners) listener(report);
  }
}

const servicesMax = 1000;
const none: readonly Endpoint[] = [];

export class WorkerEndpoints implements FollowedEndpoints {
  readonly #ask: (question: Question) => Promise<boolean>;
  readonly #lists = new Map<string, readonly Endpoint[]>();
  readonly #following = new Map<string, Promise<void>>();
  readonly #listeners = new Set<(service: string) => void>();

  constructor(ask: (question: Question) => Promise<boolean>) {
    this.#ask = ask;
  }

  endpoints(service: string): readonly Endpoint[] {
    const list = this.#lists.get(service);
    if (list === undefined) void this.#follow(service);
    return list ?? none;
  }

  async ready(service: string): Promise<void> {
    await this.#follow(service);
  }

  onChange(listener: (service: string) => void): () => void {
    return listen(this.#listeners, listener);
  }

  set(service: string, endpoints: readonly Endpoint[]): void {
    this.#lists.set(service, endpoints);
    for (const listener of this.#listeners) listener(service);
  }

  /** Follows a service. Never rejects. Without an answer there are no endpoints, and the next call asks again. */
  #follow(service: string): Promise<void> {
    let following = this.#following.get(service);
    if (following !== undefined || this.#following.size >= servicesMax) return following ?? Promise.resolve();
    following = this.#ask({ kind: "follow-service", service }).then(
      () => {},
      () => void this.#following.delete(service),
    );
    this.#following.set(service, following);
    return following;
  }
}
