"""reStructuredText, AsciiDoc and LaTeX: what a reader of the printed page sees, with its structure."""

from io import BytesIO

import pytest

from rag_app.errors import NoText
from rag_app.ingestion.parse import parse
from rag_app.ingestion.parsed import ParsedDocument

RST = """==========
 My Title
==========

:Author: Ann B.

.. _target:
.. |ver| replace:: 3.2

Section *one*
-------------

Text with ``code *x*``, :ref:`the guide <guide>`, `link <http://x>`_ and |ver|. See foo_ and [1]_.

* first item
  goes on

  second part

  - nested
* another::

      code here
        indented

1. one
2. two

.. note:: Beware of the dog
   and cat.

.. code-block:: python
   :linenos:

   def f():
       return 1

.. a comment

+-----+-------+
| A   | B     |
+=====+=======+
| 1   | two   |
|     | lines |
+-----+-------+

===  =====
C    D
===  =====
1    2
===  =====

.. list-table:: Frozen
   :header-rows: 1

   * - Treat
     - Qty
   * - Pie
     - 2.99

.. csv-table::
   :header: "a","b"

   1, "x, y"

Sub
~~~

.. toctree::
   a
   b

>>> 1+1
2
"""

ADOC = """= Doc *Title*
Ann Author <a@b.c>
:product: Widget

Intro to {product} with `code *x*` and *bold* **u**n. See <<sec,the section>> and https://x.y[a link].footnote:[A note.]

[[sec]]
== Section

* one
goes on
** nested
* two
+
attached

[source,python]
----
def f(): pass
----

.Prices
[cols="1,2",options="header"]
|===
|A |B

|1 |two
lines
2+|span
|===

term:: meaning

NOTE: Watch out.

[WARNING]
====
Inside.
====

// comment
////
hidden
////
include::other.adoc[]
"""

TEX = r"""\documentclass[12pt]{article}
\newcommand{\prod}[1]{the #1 product}
\title{On \emph{Things}}
\author{J\"urgen}
\begin{document}
\maketitle
\section{Intro}\label{sec:i}
Some \textbf{bold} --- ``quotes'', $x^2 + \alpha$ see~\cite{knuth}.\footnote{A note.} 50\% of \prod{good}. % no
Stra\ss e.

Second \href{http://x}{link}. \verb|a_b%c| code.
\subsection*{Lists}
\begin{itemize}
\item One
\item Two \begin{enumerate} \item Nested \end{enumerate}
\end{itemize}
\begin{verbatim}
raw \text % kept
\end{verbatim}
\begin{table}\begin{tabular}{l|c}
\hline
Name & Value \\ \hline
a & 1 \\
\multicolumn{2}{c}{both} \\
\end{tabular}\caption{A caption}\end{table}
\begin{equation}
E = mc^2
\end{equation}
\begin{tikzpicture}\draw (0,0);\end{tikzpicture}
\end{document} trailing"""


def shown(text: str, name: str) -> list[tuple[str, str]]:
    parsed = read(text, name)
    return [(block.kind, parsed.text[block.char_from : block.char_to]) for block in parsed.blocks]


def read(text: str, name: str) -> ParsedDocument:
    return parse(BytesIO(text.encode()), filename=name)


def test_restructured_text() -> None:
    assert read(RST, "a.rst").title == "My Title"
    assert shown(RST, "a.rst") == [
        ("heading", "My Title"),
        ("list", "- Author: Ann B."),
        ("heading", "Section one"),
        ("paragraph", "Text with code *x*, the guide, link and 3.2. See foo and [1]."),
        ("list", "- first item goes on\n  second part\n  - nested\n- another:"),
        ("code", "code here\n  indented"),
        ("list", "1. one\n2. two"),
        ("paragraph", "Note: Beware of the dog and cat."),
        ("code", "def f():\n    return 1"),
        ("table", "| A | B |\n| --- | --- |\n| 1 | two lines |"),
        ("table", "| C | D |\n| --- | --- |\n| 1 | 2 |"),
        ("paragraph", "Frozen"),
        ("table", "| Treat | Qty |\n| --- | --- |\n| Pie | 2.99 |"),
        ("table", "| a | b |\n| --- | --- |\n| 1 | x, y |"),
        ("heading", "Sub"),
        ("code", ">>> 1+1\n2"),
    ]
    assert [block.level for block in read(RST, "a.rst").blocks if block.kind == "heading"] == [1, 2, 3]


def test_asciidoc() -> None:
    assert (read(ADOC, "a.adoc").title, read(ADOC, "a.adoc").metadata["author"]) == ("Doc Title", "Ann Author")
    assert shown(ADOC, "a.adoc") == [
        ("heading", "Doc Title"),
        ("paragraph", "Intro to Widget with code *x* and bold un. See the section and a link. (A note.)"),
        ("heading", "Section"),
        ("list", "- one goes on\n  - nested\n- two\n  attached"),
        ("code", "def f(): pass"),
        ("paragraph", "Prices"),
        ("table", "| A | B |\n| --- | --- |\n| 1 | two lines |\n| span |  |"),
        ("list", "- term: meaning"),
        ("paragraph", "NOTE: Watch out."),
        ("paragraph", "Warning:"),
        ("paragraph", "Inside."),
    ]


def test_latex() -> None:
    assert (read(TEX, "a.tex").title, read(TEX, "a.tex").metadata["author"]) == ("On Things", "Jürgen")
    assert shown(TEX, "a.tex") == [
        ("heading", "On Things"),
        ("heading", "Intro"),
        ("paragraph", "Some bold — “quotes”, $x^2 + \\alpha$ see [knuth]. 50% of the good product. Straße."),
        ("paragraph", "Note: A note."),
        ("paragraph", "Second link. a_b%c code."),
        ("heading", "Lists"),
        ("list", "- One\n- Two\n  1. Nested"),
        ("code", "raw \\text % kept"),
        ("table", "| Name | Value |\n| --- | --- |\n| a | 1 |\n| both |  |"),
        ("paragraph", "A caption"),
        ("code", "E = mc^2"),
    ]


def test_macros_that_would_grow_without_end_are_left_as_they_are() -> None:
    bomb = "\\newcommand{\\a}{x\\b\\b}\\newcommand{\\b}{\\c\\c\\c\\c}"
    bomb += "\\newcommand{\\c}{\\d\\d\\d\\d}\\newcommand{\\d}{yyyy}"
    text = bomb + "\\begin{document}" + "\\a " * 20_000 + "end\\end{document}"
    assert len(read(text, "a.tex").text) < 3 * len(text) + 200_000


@pytest.mark.parametrize(("name", "text"), [("a.rst", ".. comment"), ("a.adoc", "// no"), ("a.tex", "% nothing")])
def test_a_file_of_nothing_but_comments_holds_no_text(name: str, text: str) -> None:
    with pytest.raises(NoText):
        read(text, name)
