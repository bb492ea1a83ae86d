//! Statements in the contract's language, with nodes of the graph in place of values.

use std::collections::HashMap;
use std::fmt::Write;

use crate::graph::{Graph, Node, Operation};
use crate::number::{decimal_or_hex, hex};

/// How deep an expression may nest. The machine reaches sixteen words down its stack, and the field's order lies below.
const DEPTH_MAX: usize = 4;

/// Part of a statement.
#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Value(Node),
}

/// Statements in order.
#[derive(Debug, Default)]
pub(crate) struct Code {
    statements: Vec<Vec<Piece>>,
}

impl Code {
    /// A statement without values.
    pub fn line(&mut self, text: impl Into<String>) {
        self.statements.push(vec![Piece::Text(text.into())]);
    }

    /// A statement; each `{}` in the text is one of the values. All values that it needs are computed before it.
    pub fn with(&mut self, text: &str, values: &[Node]) {
        let mut pieces = Vec::new();
        let mut values = values.iter();
        for (i, part) in text.split("{}").enumerate() {
            if i > 0 {
                pieces.extend(values.next().map(|node| Piece::Value(*node)));
            }
            pieces.push(Piece::Text(part.to_owned()));
        }
        self.statements.push(pieces);
    }

    /// All statements as text, one a line. Values that are used more than once, or nest too deep, are kept in memory from
    /// `memory` on.
    pub fn render(&self, graph: &Graph, memory: usize) -> Vec<String> {
        let mut renderer = Renderer {
            graph,
            uses: self.count_uses(graph),
            known: HashMap::new(),
            next: memory,
            lines: Vec::new(),
        };
        for statement in &self.statements {
            let mut line = String::new();
            for piece in statement {
                match piece {
                    Piece::Text(text) => line.push_str(text),
                    Piece::Value(node) => line.push_str(&renderer.expression(*node)),
                }
            }
            renderer.lines.push(line);
        }
        renderer.lines
    }

    /// How often each node is an operand or part of a statement.
    fn count_uses(&self, graph: &Graph) -> Vec<u32> {
        let mut uses = vec![0; graph.len()];
        let mut pending = Vec::new();
        for piece in self.statements.iter().flatten() {
            if let Piece::Value(node) = piece {
                pending.push(*node);
            }
            while let Some(node) = pending.pop() {
                uses[Graph::index(node)] += 1;
                if uses[Graph::index(node)] == 1 {
                    pending.extend(graph.operation(node).operands().into_iter().flatten());
                }
            }
        }
        uses
    }
}

/// The text of a value, and how deep it nests.
#[derive(Clone)]
struct Text {
    text: String,
    depth: usize,
}

struct Renderer<'a> {
    graph: &'a Graph,
    uses: Vec<u32>,
    /// Nodes that are kept in memory by now, by address.
    known: HashMap<Node, usize>,
    next: usize,
    lines: Vec<String>,
}

impl Renderer<'_> {
    /// The text of a value; emits the statements that it needs.
    fn expression(&mut self, root: Node) -> String {
        let mut texts: HashMap<Node, Text> = HashMap::new();
        for node in self.needed(root) {
            let text = self.text(node, &texts);
            let kept = text.depth > 0 && (self.uses[Graph::index(node)] > 1 || text.depth > DEPTH_MAX);
            if kept {
                self.lines.push(format!("mstore({}, {})", hex(self.next), text.text));
                self.known.insert(node, self.next);
                self.next += 32;
            } else {
                texts.insert(node, text);
            }
        }
        self.leaf(root, &texts).text
    }

    /// What has to be computed for a value, operands first.
    fn needed(&self, root: Node) -> Vec<Node> {
        let mut needed = Vec::new();
        let mut pending = vec![root];
        while let Some(node) = pending.pop() {
            if self.known.contains_key(&node) {
                continue;
            }
            needed.push(node);
            pending.extend(self.graph.operation(node).operands().into_iter().flatten());
        }
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    /// A value that is either in memory or has a text.
    fn leaf(&self, node: Node, texts: &HashMap<Node, Text>) -> Text {
        match self.known.get(&node) {
            Some(address) => Text { text: format!("mload({})", hex(*address)), depth: 0 },
            None => texts.get(&node).cloned().unwrap_or(Text { text: String::new(), depth: 0 }),
        }
    }

    fn text(&self, node: Node, texts: &HashMap<Node, Text>) -> Text {
        let leaf = |node: &Node| self.leaf(*node, texts);
        let joined = |a: &Node, b: &Node, write: &dyn Fn(&str, &str) -> String| {
            let (a, b) = (leaf(a), leaf(b));
            Text { text: write(&a.text, &b.text), depth: 1 + a.depth.max(b.depth) }
        };
        match self.graph.operation(node) {
            Operation::Constant(value) => Text { text: decimal_or_hex(value), depth: 0 },
            Operation::Word(offset) => Text { text: format!("calldataload({})", hex(*offset)), depth: 0 },
            Operation::Memory(address) => Text { text: format!("mload({})", hex(*address)), depth: 0 },
            Operation::Add(a, b) => joined(a, b, &|a, b| format!("addmod({a}, {b}, r)")),
            Operation::Sub(a, b) => joined(a, b, &|a, b| format!("addmod({a}, sub(r, {b}), r)")),
            Operation::Negate(a) => {
                let a = leaf(a);
                Text { text: format!("sub(r, {})", a.text), depth: 1 + a.depth }
            }
            Operation::Mul(a, b) => joined(a, b, &|a, b| format!("mulmod({a}, {b}, r)")),
            Operation::WordSum { offset, stride, len, step } => {
                let step = leaf(step);
                let mut text = String::new();
                // Writing to a string does not fail.
                let _ = write!(text, "wordSum({}, {stride}, {len}, {})", hex(*offset), step.text);
                Text { text, depth: 1 + step.depth }
            }
        }
    }
}
