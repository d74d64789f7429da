// Shows an answer: Markdown without raw HTML, links that say where they lead, no foreign image, citations as chips.
import { createContext, memo, useContext, useMemo, useState } from "react";
import ReactMarkdown from "react-markdown";
import remarkGfm from "remark-gfm";

const MARKER = /\[(\d{1,4})\]/g;
const SAFE = /^(https?:|mailto:)/i;

/** Turns `[n]` in text (never in code or links) into a link to `#cite-n` where citation n exists. */
function remarkCitations(options) {
  const known = new Set(options.known);
  const split = (node) => {
    const out = [];
    let last = 0;
    for (const hit of node.value.matchAll(MARKER)) {
      const n = Number(hit[1]);
      if (!known.has(n)) continue;
      if (hit.index > last) out.push({ type: "text", value: node.value.slice(last, hit.index) });
      out.push({ type: "link", url: `#cite-${n}`, children: [{ type: "text", value: String(n) }] });
      last = hit.index + hit[0].length;
    }
    if (!out.length) return [node];
    if (last < node.value.length) out.push({ type: "text", value: node.value.slice(last) });
    return out;
  };
  const walk = (node) => {
    if (!node.children || node.type === "link") return;
    node.children = node.children.flatMap((child) => {
      if (child.type === "text") return split(child);
      walk(child);
      return [child];
    });
  };
  return walk;
}

const address = (url) => (url.startsWith("#cite-") || SAFE.test(url) ? url : "");

function hostOf(url) {
  try {
    return new URL(url).host;
  } catch {
    return "";
  }
}

function CodeBlock({ children }) {
  const [done, setDone] = useState(false);
  const code = children?.props ?? {};
  const language = /language-(\S+)/.exec(code.className ?? "")?.[1] ?? "";
  const text = String(code.children ?? "");
  const copy = () => navigator.clipboard?.writeText(text).then(() => setDone(true));
  return (
    <div className="code" onMouseLeave={() => setDone(false)}>
      <div className="code-head">
        <span>{language}</span>
        <button type="button" className="btn plain mini" onClick={copy}>{done ? "Copied" : "Copy"}</button>
      </div>
      <pre tabIndex={0}><code>{text}</code></pre>
    </div>
  );
}

const Sources = createContext({ titles: {}, active: 0, onCite: null });

function Chip({ n }) {
  const { titles, active, onCite } = useContext(Sources);
  const title = titles[n] ?? "";
  return (
    <button type="button" className={active === n ? "cite on" : "cite"} title={title}
      aria-label={`Source ${n}: ${title}`} onClick={() => onCite?.(n)}>{n}</button>
  );
}

// One set for all answers and all renderings: a new function per rendering would make React build everything anew.
const FURNITURE = {
  a({ href, children }) {
    const cite = /^#cite-(\d+)$/.exec(href ?? "");
    if (cite) return <Chip n={Number(cite[1])} />;
    if (!href) return <span>{children}</span>;
    const host = hostOf(href);
    return <a href={href} target="_blank" rel="noopener noreferrer nofollow" title={host || href}>{children}</a>;
  },
  img: ({ alt, src }) => <span className="picture">picture: {alt || hostOf(src ?? "") || "without description"}</span>,
  pre: CodeBlock,
  table: ({ children }) => <div className="scroll-x" tabIndex={0}><table>{children}</table></div>,
  input: ({ checked }) => <span aria-hidden="true">{checked ? "☑ " : "☐ "}</span>,
};

const Body = memo(function Body({ text, known }) {
  const plugins = useMemo(() => [remarkGfm, [remarkCitations, { known: known.split(",").map(Number) }]], [known]);
  return <ReactMarkdown remarkPlugins={plugins} components={FURNITURE} urlTransform={address}>{text}</ReactMarkdown>;
});

export function Answer({ text = "", citations = [], active = 0, onCite }) {
  const titles = {};
  for (const each of citations) titles[each.n] = each.page ? `${each.title}, ${each.page}` : each.title;
  return (
    <Sources.Provider value={{ titles, active, onCite }}>
      <div className="answer" dir="auto">
        <Body text={text} known={citations.map((each) => each.n).join(",")} />
      </div>
    </Sources.Provider>
  );
}
