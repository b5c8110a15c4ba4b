//! The aggregate functions as names and types; the engine evaluates them by name.
//!
//! Types are Flink's: `SUM` keeps its argument's type except that a DECIMAL becomes `DECIMAL(38, s)`, `AVG` keeps it
//! except that a DECIMAL becomes `DECIMAL(38, max(6, s))` (so the average of BIGINTs is a BIGINT), `COUNT` is BIGINT.
//! Deviation: variances and standard deviations are DOUBLE for every argument.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion_common::{DataFusionError, Result, not_impl_err};
use datafusion_expr::function::AccumulatorArgs;
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, TypeSignature, Volatility};
use fleuve_base::Error;
use fleuve_functions::aggregate::summary::{SUMMARIES, Spec};

use super::errors::external;

/// Greatest precision of a DECIMAL.
const DECIMAL_PRECISION_MAX: u8 = 38;

/// Least scale of an average of DECIMALs.
const AVERAGE_SCALE_MIN: i8 = 6;

/// How the result's type follows from the argument's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Typing {
    Count,
    Sum,
    Average,
    Same,
    Double,
}

/// Canonical names with their typing.
const AGGREGATES: &[(&str, Typing)] = &[
    ("count", Typing::Count),
    ("sum", Typing::Sum),
    ("avg", Typing::Average),
    ("min", Typing::Same),
    ("max", Typing::Same),
    ("stddev_pop", Typing::Double),
    ("stddev_samp", Typing::Double),
    ("var_pop", Typing::Double),
    ("var_samp", Typing::Double),
];

/// Other names of the same functions.
const ALIASES: &[(&str, &str)] = &[
    ("stddev", "stddev_samp"),
    ("variance", "var_samp"),
    ("mean", "avg"),
    ("approx_distinct", "approx_count_distinct"),
];

static DECLARATIONS: LazyLock<Vec<Arc<AggregateUDF>>> = LazyLock::new(|| {
    let declare = |(name, typing): &(&'static str, Typing)| {
        Arc::new(AggregateUDF::new_from_impl(Declaration { name, typing: *typing, signature: typing.signature() }))
    };
    let summaries = SUMMARIES.iter().map(|spec| {
        let signature = Signature::new(TypeSignature::UserDefined, Volatility::Immutable);
        Arc::new(AggregateUDF::new_from_impl(Summary { spec, signature }))
    });
    AGGREGATES.iter().map(declare).chain(summaries).collect()
});

/// The aggregate function of this name, in any case.
pub fn aggregate(name: &str) -> Option<Arc<AggregateUDF>> {
    let name = name.to_ascii_lowercase();
    let canonical = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name.as_str(), |(_, canonical)| canonical);
    DECLARATIONS.iter().find(|declared| declared.name() == canonical).cloned()
}

/// Every name that [`aggregate`] knows.
pub fn aggregate_names() -> Vec<String> {
    let names = AGGREGATES.iter().map(|(name, _)| *name).chain(ALIASES.iter().map(|(alias, _)| *alias));
    names.chain(SUMMARIES.iter().map(|spec| spec.name)).map(str::to_owned).collect()
}

/// An aggregate of [`SUMMARIES`].
#[derive(Debug, Clone)]
struct Summary {
    spec: &'static Spec,
    signature: Signature,
}

impl PartialEq for Summary {
    fn eq(&self, other: &Self) -> bool {
        self.spec.name == other.spec.name
    }
}

impl Eq for Summary {}

impl Hash for Summary {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.spec.name.hash(state);
    }
}

impl AggregateUDFImpl for Summary {
    fn name(&self) -> &str {
        self.spec.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.spec.returns.data_type(arg_types.first().unwrap_or(&DataType::Null)))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let (least, most) = self.spec.arguments();
        if !(least..=most).contains(&arg_types.len()) {
            let number = if least == most { least.to_string() } else { format!("{least} to {most}") };
            let text = format!("{} takes {number} arguments, not {}", self.spec.name.to_uppercase(), arg_types.len());
            return Err(external(Error::input("E021", text).with_hint(self.spec.usage)));
        }
        match arg_types[..self.spec.columns()].iter().find(|data_type| !self.spec.takes_type(data_type)) {
            Some(wrong) => {
                let (name, wrong) = (self.spec.name.to_uppercase(), crate::types::display(wrong));
                let error = Error::input("E020", format!("{name} cannot take a value of type {wrong}"));
                Err(external(error.with_hint(self.spec.usage)))
            }
            None => Ok(arg_types.to_vec()),
        }
    }

    fn is_nullable(&self) -> bool {
        true
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn accumulator(&self, _acc_args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("{} is evaluated by the engine, not by the planner", self.spec.name)
    }
}

impl Typing {
    fn signature(self) -> Signature {
        let arguments = match self {
            Typing::Count => TypeSignature::OneOf(vec![TypeSignature::Nullary, TypeSignature::VariadicAny]),
            _ => TypeSignature::UserDefined,
        };
        Signature::new(arguments, Volatility::Immutable)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Declaration {
    name: &'static str,
    typing: Typing,
    signature: Signature,
}

impl AggregateUDFImpl for Declaration {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let argument = || arg_types.first().cloned().unwrap_or(DataType::Null);
        Ok(match self.typing {
            Typing::Count => DataType::Int64,
            Typing::Same => argument(),
            Typing::Double => DataType::Float64,
            Typing::Sum => match argument() {
                DataType::Decimal128(_, scale) => DataType::Decimal128(DECIMAL_PRECISION_MAX, scale),
                other => other,
            },
            Typing::Average => match argument() {
                DataType::Decimal128(_, scale) => {
                    DataType::Decimal128(DECIMAL_PRECISION_MAX, scale.max(AVERAGE_SCALE_MIN))
                }
                other => other,
            },
        })
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [argument] = arg_types else {
            let text = format!("{} takes one argument, not {}", self.name.to_uppercase(), arg_types.len());
            return Err(external(Error::input("E021", text)));
        };
        match (self.typing, argument) {
            (Typing::Sum | Typing::Average | Typing::Double, DataType::Null) => Ok(vec![DataType::Int64]),
            (Typing::Sum | Typing::Average, other) if other.is_numeric() => Ok(vec![other.clone()]),
            (Typing::Double, other) if other.is_numeric() => Ok(vec![DataType::Float64]),
            (Typing::Same, other) if is_ordered(other) => Ok(vec![other.clone()]),
            (_, other) => Err(self.wrong_type(other)),
        }
    }

    fn is_nullable(&self) -> bool {
        self.typing != Typing::Count
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn accumulator(&self, _acc_args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("{} is evaluated by the engine, not by the planner", self.name)
    }
}

impl Declaration {
    fn wrong_type(&self, data_type: &DataType) -> DataFusionError {
        let name = self.name.to_uppercase();
        external(
            Error::input("E020", format!("{name} cannot take a value of type {}", crate::types::display(data_type)))
                .with_hint(match self.typing {
                    Typing::Same => "only values that have an order have a least and a greatest one".to_owned(),
                    _ => format!("convert it first: {name}(CAST(… AS DOUBLE))"),
                }),
        )
    }
}

/// Whether values of the type have an order.
fn is_ordered(data_type: &DataType) -> bool {
    !data_type.is_nested()
}
