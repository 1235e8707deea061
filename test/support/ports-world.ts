/** The parts of a proxy's first process that hear of changes, and the changes, for tests of those who are told. */
import { parseSpiffeId } from "../../core/identity.js";
import type { Endpoint } from "../../core/model.js";
import { encodeEndpoint } from "../../core/wire/fleet.js";
import { signActivation } from "../../core/wire/records.js";
import { endpointSubject } from "../../core/wire/subjects.js";
import { AppRegistry } from "../../data-plane/agent/app-registry.js";
import type {
  AppView,
  CallIdentity,
  CallIdentityView,
  CallPolicy,
  FollowedEndpoints,
  TrustView,
} from "../../data-plane/ports.js";
import { type EndpointRegistry, openEndpointRegistry } from "../../data-plane/registry/endpoint-view.js";
import { openSync, type Sync } from "../../data-plane/sync/open-sync.js";
import { listen } from "../../data-plane/sync/policy-view.js";
import type { RevisionSpread } from "../../data-plane/sync/revision-spread.js";
import type { Bus } from "../../runtime/bus.js";
import { systemClock } from "../../runtime/clock.js";
import { silentLogger } from "../../runtime/log.js";
import { MemoryFolder } from "../data-plane/sync/memory-folder.js";
import { createMemoryNats, LossyBus } from "../data-plane/sync/memory-nats.js";
import { MeshSigner, TestPublisher, type TestRevision, unitFor } from "./mesh-signer.js";
import { testMesh } from "./records.js";
import { unsignedReader } from "./statements.js";

const empty = new Uint8Array();

/** The ports that calls use. */
export interface ProxyPorts {
  readonly identity: CallIdentityView;
  readonly trust: TrustView;
  readonly policy: CallPolicy;
  readonly endpoints: FollowedEndpoints;
  readonly app: AppView;
}

/** An identity that a test renews. */
class RenewedIdentity implements CallIdentityView {
  readonly #listeners = new Set<() => void>();
  current: CallIdentity = {
    mesh: testMesh,
    proxyId: "payments-1",
    service: "payments",
    version: "v1",
    spiffeId: parseSpiffeId(`spiffe://${testMesh}/service/payments`),
    certificateChainPem: "one",
    privateKeyPem: "key",
    serial: "01",
    notAfterMs: 1_900_000_000_000,
  };

  onRotate(listener: () => void): () => void {
    return listen(this.#listeners, listener);
  }

  renew(serial: string): void {
    this.current = { ...this.current, serial };
    for (const listener of this.#listeners) listener();
  }
}

export class PortsWorld {
  readonly mesh: MeshSigner;
  readonly identity = new RenewedIdentity();
  readonly registry = new AppRegistry();
  readonly reading: LossyBus;
  readonly sync: Sync;
  readonly endpoints: EndpointRegistry;
  readonly #writing: Bus;
  readonly #publisher: TestPublisher;

  private constructor(mesh: MeshSigner, reading: LossyBus, writing: Bus, sync: Sync, endpoints: EndpointRegistry) {
    this.mesh = mesh;
    this.reading = reading;
    this.#writing = writing;
    this.sync = sync;
    this.endpoints = endpoints;
    this.#publisher = new TestPublisher(writing);
  }

  /** Opens a proxy of payments that has joined and knows nothing else yet. */
  static async open(spread?: RevisionSpread): Promise<PortsWorld> {
    const mesh = new MeshSigner();
    const broker = createMemoryNats();
    const [bus, writing] = [new LossyBus(broker.connect()), broker.connect()];
    const deps = { bus, folder: new MemoryFolder(), clock: systemClock, log: silentLogger };
    // the 250 ms that a call waits for a peer's epoch are ten seconds here, which a busy machine does not need
    const patient = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() / 40 };
    const sync = await openSync(
      { ...deps, clock: patient, spread },
      {
        mesh: testMesh,
        proxyId: "payments-1",
        service: "payments",
        upstreams: [],
        rootPublicKey: mesh.root.publicKey,
        issued: { trust: mesh.trust.bytes, activation: empty, revision: empty, freshness: empty },
      },
    );
    const world = new PortsWorld(
      mesh,
      bus,
      writing,
      sync,
      await openEndpointRegistry(
        { ...deps, reader: unsignedReader(), trust: sync.trust },
        { service: "payments", proxyId: "payments-1" },
      ),
    );
    await world.#publisher.trust(mesh.trust);
    sync.start();
    return world;
  }

  get ports(): ProxyPorts {
    const { identity, sync, endpoints, registry } = this;
    return { identity, trust: sync.trust, policy: sync.policy, endpoints, app: registry };
  }

  /** Publishes a revision in which `caller` may call payments. */
  async publish(caller: string): Promise<TestRevision> {
    const revision = this.mesh.revision([unitFor("inventory", [caller]), unitFor("payments", [caller])]);
    await this.#publisher.publish(revision);
    return revision;
  }

  async activate(revision: TestRevision): Promise<void> {
    await this.#publisher.activate(this.mesh.activation(revision));
  }

  /** Activates `active` again in a new epoch, with a shadow candidate. */
  async orderShadow(active: TestRevision, { record }: TestRevision): Promise<void> {
    const { body } = this.mesh.activation(active, { reason: "shadow" });
    const shadow = { number: record.body.number, digest: record.digest, shareBasisPoints: 2500 };
    const signed = signActivation({ ...body, shadow }, testMesh, this.mesh.key.signer);
    this.mesh.activations.push(signed);
    await this.#publisher.activate(signed);
  }

  async revoke(serial: string): Promise<void> {
    await this.#publisher.trust(this.mesh.nextTrust([this.mesh.key], [serial]));
  }

  sayFresh(): void {
    this.#publisher.freshness(this.mesh.freshness());
  }

  async addEndpoint(service: string, proxyId: string, parts: Partial<Endpoint> = {}): Promise<void> {
    const endpoint: Endpoint = {
      proxyId,
      service,
      instance: proxyId,
      version: "v1",
      labels: [],
      address: "127.0.0.1:9001",
      gone: false,
      timeMs: Date.now(),
      ...parts,
    };
    await this.#writing.append(endpointSubject(service, proxyId), encodeEndpoint(endpoint));
  }

  async close(): Promise<void> {
    await this.endpoints.stop();
    await this.sync.stop();
  }
}
