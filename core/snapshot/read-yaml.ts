/** YAML text to documents with positions, bounded in depth and number. */
import { Composer, type Document, Lexer, LineCounter, type ParsedNode, Parser } from "yaml";

export type YamlDocument = Document.Parsed<ParsedNode>;

export interface YamlText {
  readonly documents: readonly YamlDocument[];
  readonly lines: LineCounter;
  /** Words, texts and signs that were read: what composing them costs. */
  readonly tokens: number;
  /** What ended the reading early; problems of single documents are in the documents. */
  readonly problem: { readonly offset: number; readonly message: string } | undefined;
}

/** Policy needs about ten. */
const depthMax = 64;

/** A file of 1 MiB that lists thousands of services has 190,000; one of nothing but tiny values a million. */
export const fileTokensMax = 250_000;

/** Reads at most `documentsMax` documents and `tokensMax` tokens. Never throws. */
export function readYaml(text: string, documentsMax: number, tokensMax = fileTokensMax): YamlText {
  const lines = new LineCounter();
  const documents: YamlDocument[] = [];
  const parser = new Parser(lines.addNewLine);
  const composer = new Composer<ParsedNode>({ uniqueKeys: false, prettyErrors: false, logLevel: "silent" });
  let [tokens, before] = [0, ""];
  const stopped = (message: string): YamlText => ({
    documents,
    lines,
    tokens,
    problem: { offset: parser.offset, message },
  });
  lines.addNewLine(0);
  try {
    for (const lexeme of new Lexer().lex(text)) {
      if (!isBlank(lexeme)) {
        tokens += 1;
        if (tokens > tokensMax) return stopped(`more than ${tokensMax} words, texts and signs; split the file`);
        // the library takes time by the square of their number
        if (lexeme === "," && /^[,[{]$/.test(before)) return stopped("a comma with nothing before it");
        before = lexeme;
      }
      for (const token of parser.next(lexeme)) documents.push(...composer.next(token));
      // The parser keeps a stack of its own, but the composer recurses along what it built: a stack that is
      // used up inside a regular expression ends the process, so depth is bounded before the composer sees it.
      if (parser.stack.length > depthMax) return stopped("nested too deeply for a policy file");
      if (documents.length > documentsMax) return stopped(`more than ${documentsMax} documents`);
    }
    for (const token of parser.end()) documents.push(...composer.next(token));
    documents.push(...composer.end(false, text.length));
  } catch {
    return stopped("cannot be read as YAML"); // the library's words would be about its own insides
  }
  return { documents, lines, tokens, problem: undefined };
}

/** Space, or a mark that the lexer puts before something. */
function isBlank(lexeme: string): boolean {
  return lexeme.charCodeAt(0) <= 0x20 || lexeme.charCodeAt(0) === 0xfeff;
}
