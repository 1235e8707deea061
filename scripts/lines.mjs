// Prints how many lines of code that is no test a revision has, by folder: node scripts/lines.mjs [REVISION...]
import { execFileSync } from "node:child_process";

const folders = ["core", "runtime", "control-plane", "data-plane", "sdk", "cli"];
const git = (...words) => execFileSync("git", words, { encoding: "utf8", maxBuffer: 1 << 28 });

for (const revision of process.argv.length > 2 ? process.argv.slice(2) : ["HEAD"]) {
  const counts = folders.map((folder) => {
    const files = git("ls-tree", "-r", "--name-only", revision, folder).split("\n");
    const sources = files.filter((file) => /\.(ts|mjs)$/.test(file));
    const lines = sources.map((file) => git("show", `${revision}:${file}`).split("\n").length - 1);
    return lines.reduce((sum, each) => sum + each, 0);
  });
  const sum = counts.reduce((total, each) => total + each, 0);
  console.log(`${revision}: ${sum} (${folders.map((folder, index) => `${folder} ${counts[index]}`).join(", ")})`);
}
