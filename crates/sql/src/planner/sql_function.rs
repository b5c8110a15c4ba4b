//! Functions with a SQL body: analysed as calls, then replaced by their body.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Result, not_impl_err};
use datafusion_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use fleuve_base::Error;

use super::errors::external;
use super::typing::cast;

/// A function of the catalog, its body already analysed over columns named like the parameters.
#[derive(Debug, Clone)]
pub struct SqlFunction {
    name: String,
    params: Vec<(String, DataType)>,
    returns: DataType,
    body: Expr,
    signature: Signature,
}

impl SqlFunction {
    /// A function that can be called.
    pub fn udf(name: String, params: Vec<(String, DataType)>, returns: DataType, body: Expr) -> Arc<ScalarUDF> {
        let signature = match params.len() {
            0 => Signature::nullary(Volatility::Immutable),
            _ => Signature::variadic_any(Volatility::Immutable),
        };
        Arc::new(ScalarUDF::new_from_impl(SqlFunction { name, params, returns, body, signature }))
    }

    /// The body with the arguments in place of the parameters.
    fn inline(&self, args: &[Expr]) -> Result<Expr> {
        if args.len() != self.params.len() {
            let text = format!("{} takes {} arguments, not {}", self.name, self.params.len(), args.len());
            return Err(external(Error::input("E021", text)));
        }
        let argument = |name: &str| {
            let position = self.params.iter().position(|(param, _)| param == name)?;
            Some(cast(args[position].clone(), self.params[position].1.clone()))
        };
        // Parents first and no descent into what was put in: an argument's column may be named like a parameter.
        let body = self.body.clone().transform_up(|expr| {
            Ok(match &expr {
                Expr::Column(column) if column.relation.is_none() => match argument(&column.name) {
                    Some(argument) => Transformed::yes(argument),
                    None => Transformed::no(expr),
                },
                _ => Transformed::no(expr),
            })
        })?;
        Ok(cast(body.data, self.returns.clone()))
    }
}

/// Replaces every call of a SQL function by its body. Bodies were inlined when they were analysed, so one pass is enough.
pub fn inline_calls(expr: Expr) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| match &expr {
        Expr::ScalarFunction(call) => match call.func.inner().downcast_ref::<SqlFunction>() {
            Some(function) => Ok(Transformed::yes(function.inline(&call.args)?)),
            None => Ok(Transformed::no(expr)),
        },
        _ => Ok(Transformed::no(expr)),
    })
}

impl PartialEq for SqlFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.body == other.body
    }
}

impl Eq for SqlFunction {}

impl Hash for SqlFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for SqlFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        not_impl_err!("{} is inlined, not called", self.name)
    }
}
