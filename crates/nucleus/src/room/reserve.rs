use lattice_guard::{CostModel, MicroUsd};
use nucleus_wire::limits::RUN_TIMEOUT_DEFAULT_S;
use nucleus_wire::tool::{Read, ToolCall};

use super::decide::{Clearance, Permitted};
use super::deny::Denied;
use super::identify::Identified;
use crate::budget::{Amount, BudgetExceeded, BudgetUnit, Reservation};
use crate::executor::Executor;
use crate::refusal::Refusal;
use crate::tools::limits::{
    EDIT_FILE_MAX_BYTES, GLOB_PATHS_MAX, IMAGE_MAX_BYTES, READ_TEXT_MAX_BYTES,
};
use crate::tools::names_image;

/// A permitted call whose worst case is held in the budget.
#[derive(Debug)]
#[must_use = "a reserved call does nothing"]
pub struct Reserved {
    pub(super) identified: Identified,
    pub(super) clearance: Clearance,
    pub(super) reservation: Reservation,
}

impl Permitted {
    /// Takes the worst case from every level of the budget.
    ///
    /// # Errors
    /// [`Denied`] when it does not fit; nothing is held then.
    pub fn reserve(self, executor: &Executor) -> Result<Reserved, Denied> {
        let Self { identified, clearance } = self;
        let worst = worst_case(executor.costs(), &identified.call);
        match executor.budget().reserve(worst) {
            Ok(reservation) => Ok(Reserved { identified, clearance, reservation }),
            Err(exceeded) => {
                Err(Denied::new(identified.number, identified.record, over_budget(exceeded)))
            }
        }
    }
}

/// The most this call can cost. A price too large to count is one no budget holds.
fn worst_case(costs: &CostModel, call: &ToolCall) -> Amount {
    let cost = match call {
        ToolCall::Read(read) => costs.file(read_bytes_max(read)),
        ToolCall::Write(write) => costs.file(write.content.len() as u64),
        ToolCall::Edit(_) => costs.file(EDIT_FILE_MAX_BYTES),
        ToolCall::Grep(grep) => costs.search(grep.max_matches),
        ToolCall::Glob(_) => costs.search(GLOB_PATHS_MAX as u64),
        ToolCall::Run(run) => costs.command(run_timeout_ms(run.timeout_ms)),
        // Paid by the call that began the command, or free.
        ToolCall::JobOutput(_)
        | ToolCall::JobStop(_)
        | ToolCall::ApprovalsStatus(_)
        | ToolCall::PermissionPrompt(_) => Some(MicroUsd::new(0)),
    };
    Amount::micro_usd(cost.map_or(u64::MAX, MicroUsd::micros))
}

/// The most one `read` gives.
pub(super) fn read_bytes_max(read: &Read) -> u64 {
    if names_image(read.path.as_str()) { IMAGE_MAX_BYTES } else { READ_TEXT_MAX_BYTES as u64 }
}

/// How long a command may run.
fn run_timeout_ms(asked: Option<u64>) -> u64 {
    asked.unwrap_or(RUN_TIMEOUT_DEFAULT_S * 1_000)
}

/// The refusal of a reservation.
pub(crate) fn over_budget(exceeded: BudgetExceeded) -> Refusal {
    let (code, advice) = match exceeded.unit {
        BudgetUnit::Cost => (
            "deny.budget.cost",
            "Ask for less (a shorter timeout_s, fewer matches), or stop here and say what is left to do.",
        ),
        BudgetUnit::InputTokens => {
            ("deny.budget.input_tokens", "Stop here and say what is left to do.")
        }
        BudgetUnit::OutputTokens => {
            ("deny.budget.output_tokens", "Stop here and say what is left to do.")
        }
    };
    let text = format!(
        "Refused: the task's {} budget does not hold this call ({} wanted, {} left). {advice}",
        exceeded.unit,
        shown(exceeded.unit, exceeded.wanted),
        shown(exceeded.unit, exceeded.left),
    );
    Refusal::new(code, "budget", text)
}

fn shown(unit: BudgetUnit, amount: u64) -> String {
    match unit {
        BudgetUnit::Cost => MicroUsd::new(amount).to_string(),
        BudgetUnit::InputTokens | BudgetUnit::OutputTokens => amount.to_string(),
    }
}
