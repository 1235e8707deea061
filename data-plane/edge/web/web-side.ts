/** Decides what becomes of a request at a listener that is not plain gRPC. */
import type { EdgeListener, EdgeProtocol } from "../../../core/kinds/gateway/gateway.js";
import { refusal } from "../../http2/refusals.js";
import type { Answer } from "../../proxy/answer.js";
import { readConnect } from "./connect-request.js";
import { answerStreamError, ConnectStream } from "./connect-stream.js";
import { answerError, ConnectUnary } from "./connect-unary.js";
import { admitOrigin, answerPreflight, type CorsRules, isPreflight } from "./cors.js";
import type { Descriptors, JsonCodec } from "./descriptors.js";
import type { Dialect } from "./dialect.js";
import type { Exchange } from "./exchange.js";
import { GrpcWeb } from "./grpc-web.js";
import type { Header } from "./header.js";
import { mediaTypeOf } from "./request-fields.js";
import { WebCall, type WebCallDeps } from "./web-call.js";

export interface WebSideDeps extends Omit<WebCallDeps, "open" | "limits" | "closed"> {
  /** Returns the limits of a connection that is opened now. */
  limits(): WebCallDeps["limits"];
  /** Takes a call; see `WebCallDeps`. */
  open(exchange: Exchange, protocol: EdgeProtocol, ...call: Parameters<WebCallDeps["open"]>): void;
  /** Returns whether the listener is for the host that the request names. */
  isMeant(exchange: Exchange): boolean;
  /** The listener in policy; undefined: policy has none. */
  readonly listener: EdgeListener | undefined;
  /** Returns the service that gets the calls of a method, or undefined. */
  find(method: string): string | undefined;
  /** Returns whether policy says that a method of a service changes nothing. */
  hasNoSideEffects(service: string, method: string): boolean;
  /** The descriptors of messages; undefined: there are none. */
  readonly descriptors: Descriptors | undefined;
  /** The origins that are configured for the listener. */
  readonly origins: readonly string[];
  /** Returns the origins of the listener's own pages; empty if they cannot be known. */
  ownOrigins(exchange: Exchange): readonly string[];
}

const grpcPath = /^\/([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\/[A-Za-z_]\w*)$/;

/** Stands in for the JSON codec of a method that does not exist; its output is never seen. */
const untranslated: JsonCodec = { requestToBinary: (json) => json, responseToJson: (binary) => binary };

export class WebSide {
  readonly #deps: WebSideDeps;
  readonly #open = new Set<WebCall>();

  constructor(deps: WebSideDeps) {
    this.#deps = deps;
  }

  /** Answers the request, or makes it a call. */
  take(exchange: Exchange): void {
    const deps = this.#deps;
    if (!deps.isMeant(exchange)) return void this.#refuse(exchange, 421, refusal.authority);
    const { listener } = deps;
    const protocols = listener?.protocols ?? [];
    const cors: CorsRules = {
      origins: listener?.cors === undefined ? [] : deps.origins,
      maxAgeMs: listener?.cors?.maxAgeMs ?? 0,
      methods: protocols.includes("connect") ? ["GET", "POST"] : ["POST"],
    };
    if (!admitOrigin(exchange, cors, deps.ownOrigins(exchange)))
      return void this.#refuse(exchange, 403, refusal.origin);
    if (isPreflight(exchange)) return void answerPreflight(exchange, cors);
    const [, method] = grpcPath.exec(exchange.request.path) ?? [];
    if (method === undefined) return void this.#refuse(exchange, 404, refusal.path);
    const found = this.#speak(exchange, method, protocols);
    if (found === null) return;
    if (found !== undefined) this.#call(exchange, found);
    else if (deps.find(method) === undefined) this.#refuse(exchange, 404, refusal.path);
    else this.#refuseForm(exchange, method, protocols);
  }

  /**
   * Returns the dialect of the request; undefined: it is in none of the listener's protocols; null: it was answered.
   */
  #speak(exchange: Exchange, method: string, protocols: readonly string[]): Dialect | undefined | null {
    const isPost = exchange.request.method === "POST";
    const grpcWeb = isPost && protocols.includes("grpc-web") ? GrpcWeb.of(exchange) : undefined;
    if (grpcWeb !== undefined || !protocols.includes("connect")) return grpcWeb;
    const service = this.#deps.find(method);
    const codec = service === undefined ? untranslated : this.#deps.descriptors?.find(method);
    const request = readConnect(exchange, codec);
    if (request === undefined) return undefined;
    // A page may send a GET without a preflight, and so may an image or a link.
    if (!isPost && service !== undefined && !this.#deps.hasNoSideEffects(service, method)) return undefined;
    if (!("problem" in request))
      return request.isStream ? new ConnectStream(request) : new ConnectUnary(request, service !== undefined);
    this.#deps.refused(refusal.content_type);
    const { isStream, isJson, problem } = request;
    if (isStream) answerStreamError(exchange, isJson, problem.error);
    else answerError(exchange, problem, [["accept-encoding", "gzip"]]);
    return null;
  }

  #call(exchange: Exchange, dialect: Dialect): void {
    const deps = this.#deps;
    const call = new WebCall(exchange, dialect, {
      budget: deps.budget,
      limits: deps.limits(),
      nowMs: () => deps.nowMs(),
      open: (...opened) => deps.open(exchange, dialect.protocol, ...opened),
      refused: (reason) => deps.refused(reason),
      closed: (one) => this.#open.delete(one),
    });
    this.#open.add(call);
    call.begin();
  }

  get openCalls(): number {
    return this.#open.size;
  }

  /** Ends every open call with `answer`, including those that still wait to be judged. */
  answerAll(answer: Answer): void {
    for (const call of [...this.#open]) call.answer(answer);
  }

  /** Refuses a request whose method exists but is not called in this form. */
  #refuseForm(exchange: Exchange, path: string, protocols: readonly string[]): void {
    const { method, isHttp1 } = exchange.request;
    if (method !== "POST") {
      const allowed = protocols.includes("connect") && this.#mayGet(path) ? "GET, POST" : "POST";
      this.#refuse(exchange, 405, refusal.method, [["allow", allowed]]);
    } else if (isHttp1 && /^application\/grpc(\+|$)/.test(mediaTypeOf(exchange.header("content-type")))) {
      this.#refuse(exchange, 505, refusal.content_type);
    } else this.#refuse(exchange, 415, refusal.content_type, [["accept-post", acceptedTypes(protocols).join(", ")]]);
  }

  #mayGet(method: string): boolean {
    const service = this.#deps.find(method);
    return service !== undefined && this.#deps.hasNoSideEffects(service, method);
  }

  #refuse(exchange: Exchange, status: number, reason: number, headers: readonly Header[] = []): void {
    this.#deps.refused(reason);
    exchange.refuse(status, headers);
  }
}

function acceptedTypes(protocols: readonly string[]): readonly string[] {
  return protocols.flatMap((protocol) => {
    if (protocol === "grpc") return ["application/grpc"];
    if (protocol === "grpc-web") return ["application/grpc-web", "application/grpc-web-text"];
    return ["application/proto", "application/connect+proto", "application/json", "application/connect+json"];
  });
}
