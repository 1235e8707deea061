/**
 * One listener of a gateway: accepts calls of outside clients and sends them to the services that policy exposes, as
 * the caller `gateway/NAME`. The destination's proxy judges them again.
 */
import { isIP, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { AshlarError } from "../../core/errors.js";
import { trustDomainOf } from "../../core/identity.js";
import type { EdgeProtocol } from "../../core/kinds/gateway/gateway.js";
import { compileGateway } from "../../core/policy/compiled-gateway.js";
import { headerNames } from "../../core/wire/headers.js";
import type { Clock } from "../../runtime/clock.js";
import type { FieldBlock } from "../http2/field-block.js";
import { PreparedField } from "../http2/prepared-field.js";
import type { Stream } from "../http2/stream.js";
import type { EvaluatedPolicy, TrustView } from "../ports.js";
import { type Answer, unavailableAnswer } from "../proxy/answer.js";
import type { DecisionSink } from "../proxy/decision-sink.js";
import type { Call } from "../proxy/forward/call.js";
import type { Door, ListenerTls, Peer } from "../proxy/forward/listener.js";
import { edgeLimits } from "../proxy/forward/listener-limits.js";
import { judgeOpenCalls } from "../proxy/judge-again.js";
import { type OpenCall, OpenCalls } from "../proxy/open-calls.js";
import { Outbound, type OutboundDeps, type OutboundOptions } from "../proxy/outbound.js";
import { joinHeader } from "../proxy/request-head.js";
import { healthOf } from "./edge-answers.js";
import type { EdgeListenerConfig } from "./edge-config.js";
import type { EdgeHops } from "./edge-hops.js";
import { EdgeJudge } from "./edge-judge.js";
import { EdgeLimiter, lineOf } from "./edge-limits.js";
import { EdgeRecorder } from "./edge-recorder.js";
import { type EdgeTls, provedClient } from "./edge-tls.js";
import { EdgeWebDoor } from "./edge-web-door.js";
import { shareOf, warnOfFewFiles } from "./listener-share.js";
import { MeteredCall } from "./metered-call.js";
import type { Descriptors } from "./web/descriptors.js";
import { Http2Exchange } from "./web/http2-exchange.js";
import { WebSide } from "./web/web-side.js";

export interface EdgeDeps extends OutboundDeps {
  readonly clock: Clock;
  readonly trust: Pick<TrustView, "issuers" | "onChange">;
  readonly decisions: DecisionSink;
}

export interface EdgeOptions extends Omit<OutboundOptions, "service"> {
  /** The name by which the mesh knows the gateway. */
  readonly workload: string;
  readonly config: EdgeListenerConfig;
  /** The number of listeners of the gateway, this one included. */
  readonly listeners: number;
  /** The hops in front of the gateway. */
  readonly hops: EdgeHops;
  /** See `EdgeLimiter`. */
  readonly isAdmitted: boolean;
  /** The TLS files; undefined: the listener speaks plain HTTP/2 on a loopback address. */
  readonly files: EdgeTls | undefined;
  /** The descriptors for JSON; undefined: JSON is not translated. */
  readonly descriptors: Descriptors | undefined;
}

const misdirected = [new PreparedField(":status", "421")];
const noBytes = new Uint8Array(0);
const unproven = Number.POSITIVE_INFINITY;

export class Edge extends Outbound {
  override readonly isForClients = true;
  protected override readonly stopping = "the gateway is stopping";
  readonly #deps: EdgeDeps;
  readonly #options: EdgeOptions;
  readonly #limiter: EdgeLimiter;
  readonly #judge: EdgeJudge;
  readonly #recorder: EdgeRecorder;
  readonly #stops: (() => void)[];
  readonly #open = new OpenCalls();
  /** The protocol of each open call that is not plain gRPC. */
  readonly #protocols = new WeakMap<OpenCall, EdgeProtocol>();
  readonly #webDoor: EdgeWebDoor;
  readonly #web: WebSide;

  constructor(deps: EdgeDeps, options: EdgeOptions) {
    const limiter = new EdgeLimiter(options.isAdmitted);
    const { files, self } = options;
    const nowMs = (): number => deps.engine.loop.time();
    const dateMs = (): number => deps.clock.nowMs();
    const web = new EdgeWebDoor(deps.engine);
    const { hops } = options;
    super(
      deps,
      { ...options, service: undefined },
      shareOf(edgeLimits, options.listeners),
      files && tlsOf(files, options, dateMs),
      {
        turnsAway: (socket) => hops.letIn(limiter, socket, nowMs()),
        peerOf: (socket) => peerOf(socket, self, hops),
        front: hops.front,
        web,
        messageBytesMax: () => web.limits().messageBytesMax,
        headerBytesMax: () => web.headerBytesMax(),
      } satisfies Door,
    );
    this.#deps = deps;
    this.#options = options;
    this.#limiter = limiter;
    warnOfFewFiles(deps.log, edgeLimits, options.listeners);
    this.#recorder = new EdgeRecorder(deps, options.workload, options.config.name);
    this.#judge = new EdgeJudge(limiter, this.#recorder, deps.trust);
    this.#webDoor = web;
    this.#web = this.#openWeb();
    web.take = (exchange) => this.#web.take(exchange);
    this.#stops = [
      deps.policy.onSwitch((policy) => {
        this.#follow(policy);
        this.#judgeOpen(policy);
      }),
      deps.trust.onChange(() => {
        if (deps.policy.current !== undefined) this.#judgeOpen(deps.policy.current);
      }),
    ];
    files?.onChange(() => {
      this.listener.setSecureContext(files.context);
      this.admitAgain();
    });
    if (deps.policy.current !== undefined) this.#follow(deps.policy.current);
  }

  override close(): void {
    for (const stop of this.#stops.splice(0)) stop();
    this.#webDoor.stop();
    // calls in gRPC-Web or Connect are not streams of gRPC, so the listener does not find them
    this.#web.answerAll(unavailableAnswer("draining", this.stopping, this.revision));
    super.close();
    this.#recorder.close();
  }

  override ended(call: Call): void {
    this.#open.remove(call);
    super.ended(call);
  }

  override spread(address: string, workers: number): void {
    this.#limiter.spread(address, workers);
  }

  /** Whether policy has this listener. */
  get isStated(): boolean {
    return this.#judge.listener !== undefined;
  }

  #follow(policy: EvaluatedPolicy): void {
    const { workload, config } = this.#options;
    const gateway = policy.unit(workload)?.gateway;
    this.#judge.listener = gateway && compileGateway(gateway).get(config.name);
    this.#limiter.follow(this.#judge.listener?.listener.limits);
    this.#webDoor.follow(this.#judge.listener?.listener);
    for (const service of this.#judge.listener?.services ?? []) {
      // loaded before the first call arrives; a call would wait for it
      this.#deps.policy.useService(service).catch(() => undefined);
    }
  }

  protected override onRequest(stream: Stream, fields: FieldBlock, endStream: boolean, peer: Peer | undefined): void {
    if (peer === undefined) throw new Error("a call of an outside client without a peer");
    if (!stream.framed) {
      const exchange = new Http2Exchange(stream, fields, this.head.authorityText(fields), peer);
      this.#web.take(exchange);
      if (endStream) exchange.taker.onBody(noBytes, 0, 0, true);
    } else if (this.#options.hops.asksForHealth(peer.sourceAddress, this.head.method(fields, this.methods))) {
      // a balancer uses an address, whatever the listener's host names are
      this.accept(stream, fields, endStream, "", () => healthOf(this.isStated, this.revision));
    } else if (!this.#isMeant(this.head.authorityText(fields), peer)) {
      stream.sendFields(misdirected, null, null, true);
    } else this.#call(stream, fields, endStream, peer, "grpc");
  }

  #call(stream: Stream, fields: FieldBlock, endStream: boolean, peer: Peer, protocol: EdgeProtocol): void {
    const service = this.#judge.listener?.find(this.head.method(fields, this.methods)) ?? "";
    const address = this.#options.hops.forward(fields, peer.sourceAddress ?? "");
    const client = this.#clientOf(peer);
    if (client !== undefined) fields.add(headerNames.client, client);
    this.accept(stream, fields, endStream, service, (call) => {
      call.client = client;
      call.line = lineOf(client, address);
      const refused = this.#refuse(call, service, fields, address, protocol);
      if (refused !== undefined) return refused;
      this.#open.add(call);
      if (protocol !== "grpc") this.#protocols.set(call, protocol);
      this.#meter(call, address, protocol);
      return undefined;
    });
  }

  #openWeb(): WebSide {
    const { config, files } = this.#options;
    const { engine } = this.#deps;
    const edge = this;
    return new WebSide({
      budget: engine.budget,
      nowMs: () => engine.loop.time(),
      refused: (reason) => engine.counters.refuse(reason),
      limits: () => this.#webDoor.limits(),
      open: (exchange, protocol, stream, fields, ended) => {
        if (this.head.read(fields)) this.#call(stream, fields, ended, exchange.peer, protocol);
        else exchange.refuse(400);
      },
      isMeant: ({ request, peer }) => this.#isMeant(request.authority, peer),
      get listener() {
        return edge.#judge.listener?.listener;
      },
      find: (method) => this.#judge.listener?.find(method),
      descriptors: this.#options.descriptors,
      hasNoSideEffects: (service, method) =>
        this.#deps.policy.current?.unit(service)?.hasNoSideEffects(method) === true,
      origins: config.origins,
      // Where any host name is accepted, a stranger's page could let its own name point here.
      ownOrigins: ({ request: { authority } }) =>
        config.hosts.length === 0 && files === undefined
          ? []
          : [`${files === undefined ? "http" : "https"}://${authority}`],
    });
  }

  /** Returns the client's name, unless its certificate has expired while the connection was open. */
  #clientOf({ client, notAfterMs }: Peer): string | undefined {
    return client !== undefined && this.#deps.clock.nowMs() < notAfterMs ? client : undefined;
  }

  /** Whether the request's host is one of the listener's, and covered by the certificate that the client saw. */
  #isMeant(authority: string, peer: Peer): boolean {
    const { hosts } = this.#options.config;
    const { files } = this.#options;
    const host = authority.replace(/:\d{1,5}$/, "").replace(/^\[(.*)\]$/, "$1");
    if (hosts.length > 0 && !hosts.some((one) => isHost(one, host))) return false;
    return files === undefined || peer.host === undefined || peer.host === host || files.isShownFor(peer.host, host);
  }

  /** Returns the answer to a call that may not come in. Its service decides about the others. */
  #refuse(
    call: Call,
    service: string,
    fields: FieldBlock,
    address: string,
    protocol: EdgeProtocol,
  ): Answer | undefined {
    const { current } = this.#deps.policy;
    if (current === undefined)
      return unavailableAnswer("no-revision", "this gateway has no revision to judge by", undefined);
    call.nowMs = this.#deps.clock.nowMs();
    const authorization = joinHeader(fields, "authorization");
    return this.#judge.judge(call, service, authorization, address, protocol, current);
  }

  /** Counts the bytes of the call's messages, if the listener limits them. */
  #meter(call: Call, address: string, protocol: EdgeProtocol): void {
    const take = this.#judge.meterOf(call, address);
    if (take === undefined) return;
    const { loop } = this.#deps.engine;
    const observer = new MeteredCall((bytes) => {
      const limit = call.settled ? undefined : take(bytes, loop.time());
      const policy = this.#deps.policy.current;
      if (limit !== undefined && policy !== undefined)
        call.answer(this.#judge.endOverBytes(call, address, limit, protocol, policy, loop.time()));
    });
    call.observe(observer);
  }

  /** I10: ends open calls whose method is not exposed for the same service, or whose proof is not the required one. */
  #judgeOpen(policy: EvaluatedPolicy): void {
    judgeOpenCalls(this.#open, this.#deps, policy, (call) =>
      this.#judge.judgeOpen(call, this.#protocols.get(call) ?? "grpc", policy),
    );
  }
}

function tlsOf(files: EdgeTls, { self, config, hops }: EdgeOptions, nowMs: () => number): ListenerTls {
  return {
    context: files.context,
    options: { requestCert: config.clientCa !== undefined, rejectUnauthorized: false, SNICallback: files.sni },
    admit(socket) {
      const proved = provedClient(socket, trustDomainOf(self));
      if (proved !== undefined && (nowMs() >= proved.notAfterMs || !files.hasSigned(proved.chain)))
        throw new AshlarError("unauthenticated", "the client's certificate has expired, or its CA is taken no more");
      const name = (socket as { readonly servername?: string | false }).servername;
      const host = typeof name === "string" && isIP(name) === 0 ? name.toLowerCase() : undefined;
      return { ...peerOf(socket, self, hops), client: proved?.name, notAfterMs: proved?.notAfterMs ?? unproven, host };
    },
  };
}

/** Returns the peer of a connection. Calls of outside clients are made in the gateway's name. */
function peerOf(socket: Socket | TLSSocket, self: Peer["spiffeId"], hops: EdgeHops): Peer {
  return { spiffeId: self, notAfterMs: unproven, sourceAddress: hops.sourceOf(socket) };
}

function isHost(pattern: string, host: string): boolean {
  if (!pattern.startsWith("*.")) return pattern === host;
  const at = host.indexOf(".");
  return at > 0 && host.slice(at) === pattern.slice(1);
}
