/** Parses YAML text to documents with positions, bounded in depth and number of tokens. */
import { Composer, type Document, Lexer, LineCounter, type ParsedNode, Parser } from "yaml";

export type YamlDocument = Document.Parsed<ParsedNode>;

export interface YamlText {
  readonly documents: readonly YamlDocument[];
  readonly lines: LineCounter;
  /** The number of tokens that were read, which determines the cost of composing them. */
  readonly tokens: number;
  /** The problem that ended the reading early. Problems of single documents are in the documents. */
  readonly problem: { readonly offset: number; readonly message: string } | undefined;
}

/** The deepest nesting; policy needs about ten levels. */
const depthMax = 64;

/**
 * The most tokens of one file. A file of 1 MiB that lists thousands of services has 190,000; one that consists of tiny
 * values has a million.
 */
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
        // the yaml library takes time quadratic in the number of such commas
        if (lexeme === "," && /^[,[{]$/.test(before)) return stopped("a comma with nothing before it");
        before = lexeme;
      }
      for (const token of parser.next(lexeme)) documents.push(...composer.next(token));
      // The composer recurses along the parser's stack, and a stack overflow inside a regular expression ends the
      // process. So the depth is bounded before the composer sees the document.
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

/** Returns whether a lexeme is white space or one of the marks that the lexer inserts. */
function isBlank(lexeme: string): boolean {
  return lexeme.charCodeAt(0) <= 0x20 || lexeme.charCodeAt(0) === 0xfeff;
}
