//! Windows over processing time: the rows of an epoch fall into the windows of the epoch's clock, which is known only when
//! the epoch is complete.

use arrow::datatypes::SchemaRef;
use fleuve_base::Result;
use fleuve_plan::{TimeAttribute, Window};

use crate::batch::Batch;
use crate::operator::{EpochInfo, EpochOperator};
use crate::operators::assign_window::AssignWindow;

/// [`AssignWindow`] by the epoch's clock.
pub struct ClockedWindow {
    assign: AssignWindow,
}

impl ClockedWindow {
    /// Windows of the given kind.
    ///
    /// # Errors
    /// If the windows cannot be assigned to single rows (sessions).
    pub fn new(window: &Window, time: TimeAttribute, output: SchemaRef) -> Result<Self> {
        Ok(ClockedWindow { assign: AssignWindow::new(window, time, output)? })
    }
}

impl EpochOperator for ClockedWindow {
    fn apply(&mut self, info: &EpochInfo, inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()> {
        for batch in inputs[0].drain(..) {
            let (batch, _) = self.assign.apply(&batch, info.clock_ms)?;
            output.push(batch);
        }
        Ok(())
    }
}
