//! All aggregates of one operator, with what they can share computed once.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use fleuve_base::{Error, Result};
use fleuve_plan::{AggregateCall, Literal};

use super::accumulator::{Accumulator, Rows};
use super::count::Count;
use super::distinct::{Distinct, FILTERS_MAX};
use super::extreme::{BytesExtreme, End, Extreme};
use super::moments::{Moments, Spread};
use super::ordered::Ordered;
use super::output;
use super::sum::{DecimalSum, FloatSum, IntegerSum, SHORT_DECIMAL_DIGITS_MAX};
use super::summary;

/// The aggregates of one operator over one input.
///
/// Calls are taken apart into accumulators (an AVG is a sum and a count), and equal ones are kept once. DISTINCT calls
/// with the same argument share one set of values, whatever their filters.
#[derive(Debug)]
pub struct AggregateSet {
    parts: Vec<Part>,
    distinct: Vec<DistinctPart>,
    calls: Vec<Call>,
    /// Columns that filters read, each once.
    filters: Vec<usize>,
    /// The part that counts all rows, if asked for.
    row_count: Option<usize>,
}

/// An accumulator and what it reads.
#[derive(Debug)]
struct Part {
    kind: Kind,
    args: Vec<usize>,
    parameters: Vec<Literal>,
    /// Position in [`AggregateSet::filters`].
    filter: Option<usize>,
    accumulator: Box<dyn Accumulator>,
}

/// A set of distinct values and what it reads.
#[derive(Debug)]
struct DistinctPart {
    args: Vec<usize>,
    /// Its own filters, as positions in [`AggregateSet::filters`].
    filters: Vec<Option<usize>>,
    /// Aggregates over the values, under one of its filters.
    inner: Vec<(Kind, usize)>,
    set: Option<Distinct>,
}

/// Kinds of accumulators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Count,
    Sum,
    Extreme(End),
    Spread(Spread),
    /// The state of one of [`summary::SUMMARIES`], by the name of the function whose state it is.
    Summary(&'static str),
}

/// What a part computes.
#[derive(Debug, Clone, Copy)]
struct Wanted<'a> {
    kind: Kind,
    args: &'a [usize],
    parameters: &'a [Literal],
    filter: Option<usize>,
}

/// Where a value is held.
#[derive(Debug, Clone, Copy)]
enum Source {
    Part(usize),
    /// The number of values in a set that pass one of its filters.
    DistinctCount(usize, usize),
    /// An inner aggregate of a set.
    Distinct(usize, usize),
}

/// How a call's value is made.
#[derive(Debug)]
struct Call {
    data_type: DataType,
    recipe: Recipe,
}

#[derive(Debug)]
enum Recipe {
    Value(Source),
    Sum {
        sum: Source,
        count: Source,
        scale: i8,
    },
    Average {
        sum: Source,
        count: Source,
        scale: i8,
    },
    /// One of several values that a shared state gives, by its position.
    Field {
        of: Source,
        field: usize,
    },
}

impl AggregateSet {
    /// Prepares calls over an input with columns of these types. `retractable` if rows may have weights other than 1;
    /// `count_rows` to make [`AggregateSet::row_counts`] available.
    pub fn new(calls: &[AggregateCall], input: &[DataType], retractable: bool, count_rows: bool) -> Result<Self> {
        let mut set = AggregateSet { parts: vec![], distinct: vec![], calls: vec![], filters: vec![], row_count: None };
        for call in calls {
            let recipe = set.plan(call, input, retractable)?;
            set.calls.push(Call { data_type: call.data_type.clone(), recipe });
        }
        if count_rows {
            let rows = Wanted { kind: Kind::Count, args: &[], parameters: &[], filter: None };
            set.row_count = Some(set.part(rows, input, retractable)?);
        }
        for part in &mut set.distinct {
            let args: Vec<DataType> = part.args.iter().map(|arg| input[*arg].clone()).collect();
            let inner = part.inner.iter().map(|(kind, filter)| Ok((*filter, create(*kind, &args, &[], retractable)?)));
            let inner = inner.collect::<Result<Vec<_>>>()?;
            part.set = Some(Distinct::new(&args, part.filters.len(), inner, retractable)?);
        }
        Ok(set)
    }

    fn plan(&mut self, call: &AggregateCall, input: &[DataType], retractable: bool) -> Result<Recipe> {
        let kind = kind(call)?;
        let filter = call.filter.map(|column| position(&mut self.filters, column));
        let scale = match call.args.first().map(|arg| &input[*arg]) {
            Some(DataType::Decimal128(_, scale)) => *scale,
            _ => 0,
        };
        // The smallest of distinct values is the smallest of all.
        let distinct = call.distinct && !matches!(kind, Kind::Extreme(_));
        if distinct && matches!(kind, Kind::Summary(_)) {
            let text = format!("{}(DISTINCT …) is not in this build", call.function.to_uppercase());
            return Err(Error::unsupported("E201", text));
        }
        let mut source = |kind| {
            if distinct {
                self.distinct_source(kind, &call.args, filter)
            } else {
                let wanted = Wanted { kind, args: &call.args, parameters: &call.parameters, filter };
                Ok(Source::Part(self.part(wanted, input, retractable)?))
            }
        };
        let value = source(kind)?;
        Ok(match (call.function.as_str(), kind) {
            ("avg", _) => Recipe::Average { sum: value, count: source(Kind::Count)?, scale },
            (_, Kind::Sum) => Recipe::Sum { sum: value, count: source(Kind::Count)?, scale },
            (function, Kind::Summary(_)) => match summary::find(function).and_then(|spec| spec.field) {
                Some(field) => Recipe::Field { of: value, field },
                None => Recipe::Value(value),
            },
            _ => Recipe::Value(value),
        })
    }

    /// The part that computes this, made if there is none yet.
    fn part(&mut self, wanted: Wanted<'_>, input: &[DataType], retractable: bool) -> Result<usize> {
        let Wanted { kind, args, parameters, filter } = wanted;
        let same = |part: &Part| {
            part.kind == kind && part.args == args && part.parameters == parameters && part.filter == filter
        };
        if let Some(found) = self.parts.iter().position(same) {
            return Ok(found);
        }
        let types: Vec<DataType> = args.iter().map(|arg| input[*arg].clone()).collect();
        let accumulator = create(kind, &types, parameters, retractable)?;
        self.parts.push(Part { kind, args: args.to_vec(), parameters: parameters.to_vec(), filter, accumulator });
        Ok(self.parts.len() - 1)
    }

    fn distinct_source(&mut self, kind: Kind, args: &[usize], filter: Option<usize>) -> Result<Source> {
        let fits = |part: &DistinctPart| {
            part.args == args && (part.filters.contains(&filter) || part.filters.len() < FILTERS_MAX)
        };
        let set = self.distinct.iter().position(fits).unwrap_or_else(|| {
            self.distinct.push(DistinctPart { args: args.to_vec(), filters: vec![], inner: vec![], set: None });
            self.distinct.len() - 1
        });
        let part = &mut self.distinct[set];
        let filter = position(&mut part.filters, filter);
        match kind {
            Kind::Count => Ok(Source::DistinctCount(set, filter)),
            _ => Ok(Source::Distinct(set, position(&mut part.inner, (kind, filter)))),
        }
    }

    /// Adds the rows of a batch, given all its columns.
    pub fn update(
        &mut self,
        groups: &[u32],
        total_groups: usize,
        columns: &[ArrayRef],
        weights: Option<&Int64Array>,
    ) -> Result<()> {
        let filters: Vec<BooleanBuffer> = self.filters.iter().map(|column| truth(&columns[*column])).collect();
        for part in &mut self.parts {
            let args: Vec<ArrayRef> = part.args.iter().map(|arg| columns[*arg].clone()).collect();
            let filter = part.filter.map(|filter| &filters[filter]);
            part.accumulator.update(&Rows { groups, total_groups, args: &args, filter, weights })?;
        }
        for part in &mut self.distinct {
            let args: Vec<ArrayRef> = part.args.iter().map(|arg| columns[*arg].clone()).collect();
            let own: Vec<_> = part.filters.iter().map(|filter| filter.map(|filter| &filters[filter])).collect();
            let rows = Rows { groups, total_groups, args: &args, filter: None, weights };
            prepared(&mut part.set).update(&rows, &own)?;
        }
        Ok(())
    }

    /// Ends an epoch's rows: to be called after the last [`AggregateSet::update`] and before the groups are read.
    pub fn settle(&mut self) -> Result<()> {
        self.parts.iter_mut().try_for_each(|part| part.accumulator.settle())
    }

    /// The values of groups: a column for each call.
    pub fn evaluate(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        self.calls.iter().map(|call| self.value(call, groups)).collect()
    }

    fn value(&self, call: &Call, groups: &[u32]) -> Result<ArrayRef> {
        match &call.recipe {
            Recipe::Value(source) => output::convert(&self.read(*source, groups)?, &call.data_type),
            Recipe::Field { of, field } => {
                output::convert(self.read(*of, groups)?.as_struct().column(*field), &call.data_type)
            }
            Recipe::Sum { sum, count, scale } => {
                let (sums, counts) = (self.read(*sum, groups)?, self.read(*count, groups)?);
                output::sum(&sums, output::counts(&counts), *scale, &call.data_type)
            }
            Recipe::Average { sum, count, scale } => {
                let (sums, counts) = (self.read(*sum, groups)?, self.read(*count, groups)?);
                output::average(&sums, output::counts(&counts), *scale, &call.data_type)
            }
        }
    }

    fn read(&self, source: Source, groups: &[u32]) -> Result<ArrayRef> {
        let set = |set: usize| self.distinct[set].set.as_ref().expect("sets are made with their operator");
        match source {
            Source::Part(part) => self.parts[part].accumulator.evaluate(groups),
            Source::DistinctCount(part, filter) => Ok(set(part).count(filter, groups)),
            Source::Distinct(part, inner) => set(part).evaluate(inner, groups),
        }
    }

    /// The number of rows of each group.
    ///
    /// # Panics
    /// If counting rows was not asked for.
    pub fn row_counts(&self, groups: &[u32]) -> Result<Int64Array> {
        let part = self.row_count.expect("the set was made to count rows");
        Ok(output::counts(&self.parts[part].accumulator.evaluate(groups)?).clone())
    }

    /// The state of groups, as columns with a row for each group.
    pub fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::new();
        for part in &self.parts {
            columns.extend(part.accumulator.save(groups)?);
        }
        for part in &self.distinct {
            columns.push(part.set.as_ref().expect("sets are made with their operator").save(groups)?);
        }
        Ok(columns)
    }

    /// The types of the saved columns.
    pub fn saved_types(&self) -> Vec<DataType> {
        let sets = self.distinct.iter().filter_map(|part| part.set.as_ref());
        let parts = self.parts.iter().flat_map(|part| part.accumulator.saved_types());
        parts.chain(sets.map(Distinct::saved_type)).collect()
    }

    /// Adds saved states of the same calls: row i to `groups[i]`.
    pub fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        let types = self.saved_types();
        if saved.len() != types.len() || saved.iter().zip(&types).any(|(column, t)| column.data_type() != t) {
            return Err(Error::corrupt("the stored state of an aggregate does not fit its plan"));
        }
        let mut saved = saved;
        for part in &mut self.parts {
            let (own, rest) = saved.split_at(part.accumulator.saved_types().len());
            part.accumulator.merge(groups, total_groups, own)?;
            saved = rest;
        }
        let sets = self.distinct.iter_mut().zip(saved);
        sets.into_iter().try_for_each(|(part, column)| prepared(&mut part.set).merge(groups, total_groups, column))
    }

    /// Empties groups.
    pub fn clear(&mut self, groups: &[u32]) {
        self.parts.iter_mut().for_each(|part| part.accumulator.clear(groups));
        self.distinct.iter_mut().for_each(|part| prepared(&mut part.set).clear(groups));
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let parts: usize = self.parts.iter().map(|part| part.accumulator.bytes()).sum();
        parts + self.distinct.iter().filter_map(|part| part.set.as_ref()).map(Distinct::bytes).sum::<usize>()
    }
}

fn prepared(set: &mut Option<Distinct>) -> &mut Distinct {
    set.as_mut().expect("sets are made with their operator")
}

/// The position of an element, appended if it is new.
fn position<T: PartialEq>(elements: &mut Vec<T>, element: T) -> usize {
    elements.iter().position(|known| *known == element).unwrap_or_else(|| {
        elements.push(element);
        elements.len() - 1
    })
}

/// Rows where a BOOLEAN column is true.
fn truth(column: &ArrayRef) -> BooleanBuffer {
    let column = column.as_boolean();
    match column.nulls() {
        Some(nulls) => column.values() & nulls.inner(),
        None => column.values().clone(),
    }
}

fn kind(call: &AggregateCall) -> Result<Kind> {
    let spread = |sample, deviation| Kind::Spread(Spread { sample, deviation });
    Ok(match call.function.as_str() {
        "count" => Kind::Count,
        "sum" | "avg" => Kind::Sum,
        "min" => Kind::Extreme(End::Min),
        "max" => Kind::Extreme(End::Max),
        "var_pop" => spread(false, false),
        "var_samp" | "variance" => spread(true, false),
        "stddev_pop" => spread(false, true),
        "stddev_samp" | "stddev" => spread(true, true),
        other => match summary::find(other) {
            Some(spec) => Kind::Summary(spec.state),
            None => {
                let text = format!("the aggregate function {other} is not in this build");
                return Err(Error::unsupported("E201", text));
            }
        },
    })
}

/// Makes an accumulator of a kind for arguments of these types.
fn create(kind: Kind, args: &[DataType], parameters: &[Literal], retractable: bool) -> Result<Box<dyn Accumulator>> {
    let unsupported = |arg: &DataType| {
        let name = match kind {
            Kind::Extreme(_) => "values that are compared",
            _ => "numbers",
        };
        Error::unsupported("E202", format!("an aggregate that takes {name} cannot take type {arg}"))
    };
    match (kind, args) {
        (Kind::Summary(name), _) => {
            let spec = summary::find(name).ok_or_else(|| Error::internal(format!("there is no summary {name}")))?;
            spec.create(args, parameters, retractable)
        }
        (Kind::Count, _) => Ok(Box::new(Count::default())),
        (Kind::Sum, [arg]) => sum(arg).ok_or_else(|| unsupported(arg)),
        (Kind::Spread(spread), [arg]) if arg.is_numeric() => Ok(Box::new(Moments::new(spread))),
        (Kind::Extreme(end), [arg]) if retractable => ordered(end, arg).ok_or_else(|| unsupported(arg)),
        (Kind::Extreme(end), [arg]) => extreme(end, arg).ok_or_else(|| unsupported(arg)),
        (_, [arg]) => Err(unsupported(arg)),
        _ => Err(Error::internal(format!("an aggregate of one argument was given {}", args.len()))),
    }
}

fn sum(arg: &DataType) -> Option<Box<dyn Accumulator>> {
    Some(match arg {
        integer if integer.is_integer() => Box::new(IntegerSum::default()),
        DataType::Decimal128(digits, _) if *digits <= SHORT_DECIMAL_DIGITS_MAX => Box::new(IntegerSum::default()),
        DataType::Decimal128(..) => Box::new(DecimalSum::default()),
        DataType::Float32 | DataType::Float64 => Box::new(FloatSum::default()),
        _ => return None,
    })
}

fn extreme(end: End, arg: &DataType) -> Option<Box<dyn Accumulator>> {
    use fleuve_state::key_table::values::{is_bytes, is_word};
    Some(match arg {
        word if is_word(word) => Box::new(Extreme::<i64>::new(end, arg, i64::MIN, i64::MAX)),
        DataType::Decimal128(..) => Box::new(Extreme::<i128>::new(end, arg, i128::MIN, i128::MAX)),
        bytes if is_bytes(bytes) => Box::new(BytesExtreme::new(end, arg)),
        _ => return None,
    })
}

fn ordered(end: End, arg: &DataType) -> Option<Box<dyn Accumulator>> {
    use fleuve_state::key_table::values::{is_bytes, is_word};
    Some(match arg {
        word if is_word(word) => Box::new(Ordered::<i64>::new(end, arg)),
        DataType::Decimal128(..) => Box::new(Ordered::<i128>::new(end, arg)),
        bytes if is_bytes(bytes) => Box::new(Ordered::<Box<[u8]>>::new(end, arg)),
        _ => return None,
    })
}
