/** YAML text to documents with positions, bounded in depth and number. */
import { Composer, type Document, Lexer, LineCounter, type ParsedNode, Parser } from "yaml";

export type YamlDocument = Document.Parsed<ParsedNode>;

export interface YamlText {
  readonly documents: readonly YamlDocument[];
  readonly lines: LineCounter;
  /** What ended the reading early; problems of single documents are in the documents. */
  readonly problem: { readonly offset: number; readonly message: string } | undefined;
}

/** Policy needs about ten. */
const depthMax = 64;

/** Reads at most `documentsMax` documents. Never throws. */
export function readYaml(text: string, documentsMax: number): YamlText {
  const lines = new LineCounter();
  const documents: YamlDocument[] = [];
  const parser = new Parser(lines.addNewLine);
  const composer = new Composer<ParsedNode>({ uniqueKeys: false, prettyErrors: false, logLevel: "silent" });
  const stopped = (message: string): YamlText => ({ documents, lines, problem: { offset: parser.offset, message } });
  lines.addNewLine(0);
  try {
    for (const lexeme of new Lexer().lex(text)) {
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
  return { documents, lines, problem: undefined };
}
