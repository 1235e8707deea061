/** Exports a snapshot as policy files. Parsing them builds a snapshot with the same digest. */
import type { Digest } from "../digest.js";
import { AshlarError } from "../errors.js";
import type { PolicyFile, PolicyObject, Unit } from "../model.js";
import { buildSnapshot } from "./build.js";
import { fileBytesMax, parsePolicyFiles } from "./parse-files.js";
import { objectsOf, renderObject, renderObjectShort } from "./render.js";

/**
 * Returns one file for each service, SERVICE.yaml, and SERVICE.2.yaml and so on where one is not enough; "empty.yaml"
 * if there is no policy at all. The result is parsed again and must build `digest`. Fails with `limit` if the policy is
 * too large for files that `apply` accepts.
 */
export function exportFiles(units: readonly Unit[], digest: Digest): readonly PolicyFile[] {
  const files = units.flatMap(filesOf);
  const written =
    files.length > 0 ? files : [{ name: "empty.yaml", content: "# No policy: nobody may call anything.\n" }];
  const { objects, findings } = parsePolicyFiles(written);
  const wrong = findings.find(({ severity }) => severity === "error");
  if (wrong !== undefined || buildSnapshot(objects.map(({ object }) => object)).list.digest !== digest) {
    const why = wrong === undefined ? "they would not say the same" : `${wrong.file}: ${wrong.message}`;
    throw new AshlarError("limit", `this policy cannot be written as files (${why}): export a bundle`);
  }
  return written;
}

function filesOf(unit: Unit): readonly PolicyFile[] {
  const contents: string[] = [];
  for (const object of objectsOf(unit)) {
    const text = renderToFit(object);
    const last = contents.at(-1);
    const joined = last === undefined ? text : `${last}---\n${text}`;
    if (last !== undefined && Buffer.byteLength(joined) <= fileBytesMax) contents[contents.length - 1] = joined;
    else contents.push(text);
  }
  return contents.map((content, index) => {
    return { name: index === 0 ? `${unit.name}.yaml` : `${unit.name}.${index + 1}.yaml`, content };
  });
}

function renderToFit(object: PolicyObject): string {
  const text = renderObject(object);
  return Buffer.byteLength(text) <= fileBytesMax ? text : renderObjectShort(object);
}
