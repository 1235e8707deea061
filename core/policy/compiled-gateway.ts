/** A gateway compiled for its process: which service gets the calls of an exposed method. */
import type { EdgeListener, Gateway } from "../kinds/gateway/gateway.js";
import { serviceOfMethod } from "../snapshot/grammar.js";

export interface CompiledListener {
  readonly listener: EdgeListener;
  /** The services that the listener exposes. */
  readonly services: readonly string[];
  /** Returns the service that gets the calls of a method, or undefined if the method is not exposed. */
  find(method: string): string | undefined;
}

const compiled = new WeakMap<Gateway, ReadonlyMap<string, CompiledListener>>();

/** Returns the listeners of a gateway by name. */
export function compileGateway(gateway: Gateway): ReadonlyMap<string, CompiledListener> {
  const known = compiled.get(gateway);
  if (known !== undefined) return known;
  const made = new Map(gateway.listeners.map((listener) => [listener.name, compileListener(listener)]));
  compiled.set(gateway, made);
  return made;
}

function compileListener(listener: EdgeListener): CompiledListener {
  const methods = new Map<string, string>();
  const rpcServices = new Map<string, string>();
  for (const { service, methods: exposed } of listener.expose) {
    for (const method of exposed) {
      if (method.endsWith("/*")) rpcServices.set(serviceOfMethod(method), service);
      else methods.set(method, service);
    }
  }
  return {
    listener,
    services: listener.expose.map(({ service }) => service),
    find: (method) => methods.get(method) ?? rpcServices.get(serviceOfMethod(method)),
  };
}
