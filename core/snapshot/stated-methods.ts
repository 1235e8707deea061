/** Applies descriptors to services: replaces "package.Service/*" by the methods, and marks idempotent ones. */
import type { Callee } from "../kinds/callee.js";
import type { Finding } from "../model.js";
import type { Descriptor } from "./descriptor-shape.js";
import { serviceOfMethod } from "./grammar.js";
import { renderNearest } from "./nearest.js";
import type { SourcedObject } from "./sourced-object.js";

/** Returns the objects with every such pattern replaced. Patterns that cannot be replaced are reported. */
export function stateMethods(
  objects: readonly SourcedObject[],
  descriptors: readonly Descriptor[],
  report: (finding: Finding) => void,
): readonly SourcedObject[] {
  const methodsOf = new Map<string, string[]>();
  for (const { name, methods } of descriptors) {
    const full = methods.map((method) => `${name}/${method}`);
    methodsOf.set(name, [...new Set([...(methodsOf.get(name) ?? []), ...full])]);
  }
  const marked = markedMethods(descriptors);
  return objects.map((sourced) => {
    const { object } = sourced;
    if (object.kind !== "Service" && object.kind !== "Egress") return sourced;
    if (!object.methods.some(isPattern)) {
      const service = markService(object, marked);
      return service === object ? sourced : { ...sourced, object: service };
    }
    let methods: string[] | undefined = [];
    for (const method of object.methods) {
      const stated = isPattern(method) ? methodsOf.get(serviceOfMethod(method)) : [method];
      if (stated !== undefined) {
        methods?.push(...stated);
        continue;
      }
      const { line, column } = sourced.places.get(`methods=${method}`) ?? sourced;
      const message = whyNotStated(method, [...methodsOf.keys()]);
      report({ severity: "error", file: sourced.file, line, column, field: "methods", message });
      methods = undefined;
    }
    // A service with such a pattern states no methods: otherwise rules that name one of its methods would be reported.
    const service: Callee = { ...object, methods: [...new Set(methods)] };
    return { ...sourced, object: markService(service, marked) };
  });
}

interface MarkedMethods {
  readonly idempotent: ReadonlySet<string>;
  readonly noSideEffects: ReadonlySet<string>;
}

function markedMethods(descriptors: readonly Descriptor[]): MarkedMethods {
  const all = (mark: keyof MarkedMethods): ReadonlySet<string> =>
    new Set(descriptors.flatMap((one) => one[mark].map((method) => `${one.name}/${method}`)));
  return { idempotent: all("idempotent"), noSideEffects: all("noSideEffects") };
}

/** Returns the service with the marks that descriptors give its stated methods. */
function markService(service: Callee, marked: MarkedMethods): Callee {
  const marks = (mark: keyof MarkedMethods): { readonly [Mark in keyof MarkedMethods]?: readonly string[] } => {
    const all = [...(service[mark] ?? []), ...service.methods.filter((method) => marked[mark].has(method))];
    return all.length === 0 ? {} : { [mark]: [...new Set(all)] };
  };
  if (!service.methods.some((method) => marked.idempotent.has(method) || marked.noSideEffects.has(method)))
    return service; // the same JavaScript object, so that what was computed for it stays valid
  return { ...service, ...marks("idempotent"), ...marks("noSideEffects") };
}

function isPattern(method: string): boolean {
  return method.endsWith("/*");
}

function whyNotStated(method: string, known: readonly string[]): string {
  const service = serviceOfMethod(method);
  const given = known.length === 0 ? "apply its .proto or descriptor set (.binpb) too, or name the methods" : "";
  const nearest = renderNearest(service, known);
  return `there is no descriptor of ${service}${given === "" ? nearest : `; ${given}`}`;
}
