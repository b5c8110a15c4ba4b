//! What to look for in every row: the wanted paths as a tree, whose leaves are slots of the table of spans.

use arrow::datatypes::{DataType, Field};
use fleuve_base::{Error, Result};

use super::filter::Filters;
use super::options::JsonOptions;
use crate::column::Column;
use crate::wanted::Wanted;

/// Slots of one decoder: columns, fields of rows, prefilters and watermark paths together.
const SLOTS_MAX: usize = 4096;

/// A place in the tree.
pub(crate) type NodeId = u16;

/// One name on the way to wanted values.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// The slot that its value, or its presence if it is an object to be entered, goes to.
    pub(crate) slot: Option<u16>,
    /// The object is both entered and wanted as text or map.
    pub(crate) whole: bool,
    pub(crate) children: Vec<NodeId>,
    /// The slots of this node and all below it.
    pub(crate) slots: std::ops::Range<u16>,
}

/// The wanted paths of a decoder.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<Node>,
    pub(crate) slots: usize,
    pub(crate) filters: Filters,
    pub(crate) max_slots: Vec<usize>,
    /// Nothing is skipped: the whole line must be valid.
    pub(crate) strict: bool,
    /// What is not an object where one must be entered counts as NULL.
    pub(crate) forgiving: bool,
}

/// The object that a line is.
pub(crate) const ROOT: NodeId = 0;

impl Plan {
    /// The plan, and the columns that read its slots.
    pub(crate) fn new(wanted: &[Wanted], options: &JsonOptions) -> Result<(Plan, Vec<Column>)> {
        let mut tree = Tree { nodes: vec![new_node("")] };
        for column in wanted {
            let node = tree.path(&column.path)?;
            tree.want(node, &column.data_type)?;
        }
        for path in options.prefilter.iter().map(|filter| &filter.path).chain(&options.max_of) {
            let node = tree.path(path)?;
            tree.nodes[node as usize].slot = Some(0);
        }
        let slots = tree.number(ROOT, 0) as usize;
        let filters = options.prefilter.iter().map(|filter| (tree.slot(&filter.path), filter.condition.clone()));
        let filters = Filters::new(slots, filters);
        let max_slots = options.max_of.iter().map(|path| tree.slot(path)).collect();
        let columns = wanted.iter().map(|wanted| tree.column(wanted)).collect::<Result<Vec<_>>>()?;
        let (strict, forgiving) = (options.strict, options.ignore_parse_errors);
        Ok((Plan { nodes: tree.nodes, slots, filters, max_slots, strict, forgiving }, columns))
    }

    /// The slots of the record's own fields, and their names.
    pub(crate) fn top_level_slots(&self) -> Vec<(usize, String)> {
        let nodes = self.node(ROOT).children.iter().map(|id| self.node(*id));
        nodes.filter_map(|node| Some((usize::from(node.slot?), node.name.clone()))).collect()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }
}

fn new_node(name: &str) -> Node {
    Node { name: name.to_owned(), slot: None, whole: false, children: Vec::new(), slots: 0..0 }
}

struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// The node of a path, made if need be.
    fn path(&mut self, path: &[String]) -> Result<NodeId> {
        if path.is_empty() {
            return Err(Error::internal("a wanted column has an empty path"));
        }
        path.iter().try_fold(ROOT, |node, name| self.child(node, name))
    }

    fn child(&mut self, parent: NodeId, name: &str) -> Result<NodeId> {
        let found = self.find(parent, name);
        if let Some(child) = found {
            return Ok(child);
        }
        if self.nodes.len() >= SLOTS_MAX {
            return Err(Error::unsupported("E412", format!("a row has more than {SLOTS_MAX} columns and fields")));
        }
        let child = self.nodes.len() as NodeId;
        self.nodes.push(new_node(name));
        self.nodes[parent as usize].children.push(child);
        Ok(child)
    }

    fn find(&self, parent: NodeId, name: &str) -> Option<NodeId> {
        let children = &self.nodes[parent as usize].children;
        children.iter().copied().find(|child| self.nodes[*child as usize].name == name)
    }

    /// Wants a value of `data_type` at the node; of a row, its fields.
    fn want(&mut self, node: NodeId, data_type: &DataType) -> Result<()> {
        self.nodes[node as usize].slot = Some(0);
        let DataType::Struct(fields) = data_type else {
            self.nodes[node as usize].whole = true;
            return Ok(());
        };
        for field in fields {
            let child = self.child(node, field.name())?;
            self.want(child, field.data_type())?;
        }
        Ok(())
    }

    /// Numbers the slots from `next` on, depth first, so that a subtree's are contiguous; returns the next free one.
    fn number(&mut self, node: NodeId, next: u16) -> u16 {
        let mut free = next;
        let current = &mut self.nodes[node as usize];
        if let Some(slot) = &mut current.slot {
            *slot = free;
            free += 1;
        }
        for child in current.children.clone() {
            free = self.number(child, free);
        }
        self.nodes[node as usize].slots = next..free;
        free
    }

    /// The slot of a path that is in the tree.
    fn slot(&self, path: &[String]) -> usize {
        let node = path.iter().try_fold(ROOT, |node, name| self.find(node, name));
        node.and_then(|node| self.nodes[node as usize].slot).map_or(0, usize::from)
    }

    fn column(&self, wanted: &Wanted) -> Result<Column> {
        let label = wanted.path.join(".");
        let field = Field::new(&wanted.name, wanted.data_type.clone(), wanted.nullable);
        let DataType::Struct(_) = field.data_type() else {
            return Column::new(&label, field.data_type(), field.is_nullable(), self.slot(&wanted.path));
        };
        self.row_column(&label, &field, &wanted.path)
    }

    /// The column of a row whose fields are slots of the same table.
    fn row_column(&self, label: &str, field: &Field, path: &[String]) -> Result<Column> {
        let DataType::Struct(fields) = field.data_type() else {
            return Err(Error::internal("a row column is made from a struct"));
        };
        let columns = fields.iter().map(|inner| {
            let path: Vec<String> = path.iter().chain([inner.name()]).cloned().collect();
            let label = format!("{label}.{}", inner.name());
            match inner.data_type() {
                DataType::Struct(_) => {
                    let nullable = Field::new(inner.name(), inner.data_type().clone(), true);
                    Ok((self.row_column(&label, &nullable, &path)?, inner.is_nullable()))
                }
                _ => Column::of_row(&label, inner, self.slot(&path)),
            }
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(Column::flat_row(label, field.data_type(), field.is_nullable(), self.slot(path), columns))
    }
}
