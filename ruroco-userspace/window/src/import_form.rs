//! The form for an invitation, and the changes that accepting it makes. A worker plans these changes,
//! because it must read keys, which can take time.

use ruroco_client::accept::Plan;
use ruroco_invite::invitation::Invitation;
use ruroco_keys::name::Name;

use super::{
    notice::sentence,
    secret_field::{SecretField, check_length},
    secret_text::SecretText,
};

/// An invitation that the user has pasted or chosen.
#[derive(Debug, Default)]
pub(super) struct ImportForm {
    pub(super) secret: SecretField,
    /// The name for the host, which may differ from the name in the invitation.
    pub(super) name: String,
    pub(super) tried: bool,
    /// The plan that is being carried out.
    pub(super) saving: Option<Box<Plan>>,
    pub(super) entered: bool,
    /// The question that a worker has not answered yet.
    asked: Option<Question>,
    answer: Option<(Question, Result<Plan, String>)>,
}

/// A question to a worker: what accepting this invitation changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    text: SecretText,
    name: String,
    /// The revision of the hosts and keys.
    state: u64,
}

impl ImportForm {
    /// Takes the name from the invitation after the text has changed.
    pub(super) fn follow_text(&mut self) {
        self.tried = true;
        if let Ok(invitation) = self.invitation() {
            self.name = invitation.name.to_string();
        }
    }

    /// # Errors
    /// Why the text is not an invitation.
    pub(super) fn invitation(&self) -> Result<Invitation, String> {
        let text = check_length(&self.secret.text).map_err(|error| sentence(&error.to_string()))?;
        Invitation::find(text).map_err(|error| sentence(&error.to_string()))
    }

    /// The plan for this revision of the hosts and keys; none until a worker has answered.
    ///
    /// # Errors
    /// Why the invitation cannot be accepted.
    pub(super) fn plan(&self, state: u64) -> Option<Result<&Plan, String>> {
        if let Err(fault) = self.host_name() {
            return Some(Err(fault));
        }
        let (question, plan) = self.answer.as_ref()?;
        self.is_asked_by(question, state).then(|| plan.as_ref().map_err(Clone::clone))
    }

    /// The next question to a worker: only one at a time, because a keyring may prompt the user.
    pub(super) fn ask(&mut self, state: u64) -> Option<(Question, Invitation, Option<Name>)> {
        if self.asked.is_some() || self.saving.is_some() || self.plan(state).is_some() {
            return None;
        }
        let (invitation, name) = (self.invitation().ok()?, self.host_name().ok()?);
        let question = Question { text: self.secret.text.clone(), name: self.name.clone(), state };
        self.asked = Some(question.clone());
        // The name in the invitation does not count as chosen by the user.
        let chosen = Some(name).filter(|name| *name != invitation.name);
        Some((question, invitation, chosen))
    }

    /// Stores the answer of a worker.
    pub(super) fn answer(&mut self, question: Question, plan: Result<Plan, String>) {
        self.asked.take_if(|asked| *asked == question);
        self.answer = Some((question, plan));
    }

    fn host_name(&self) -> Result<Name, String> {
        self.name.trim().parse::<Name>().map_err(|error| sentence(&error.to_string()))
    }

    fn is_asked_by(&self, question: &Question, state: u64) -> bool {
        let Question { text, name, state: asked } = question;
        *text == self.secret.text && *name == self.name && *asked == state
    }
}
