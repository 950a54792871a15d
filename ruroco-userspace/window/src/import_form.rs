//! The form for an invitation, and what accepting that would do. The office finds out the latter, by the rules
//! of the command line: it has to read keys, which can take its time.

use ruroco_client::accept::Plan;
use ruroco_invite::invitation::Invitation;
use ruroco_keys::name::Name;

use super::{
    notice::sentence,
    secret_field::{SecretField, check_length},
    secret_text::SecretText,
};

/// An invitation as it is pasted.
#[derive(Debug, Default)]
pub(super) struct ImportForm {
    pub(super) secret: SecretField,
    /// What to call the host, if not as the invitation says.
    pub(super) name: String,
    pub(super) tried: bool,
    /// What is being done.
    pub(super) saving: Option<Box<Plan>>,
    pub(super) entered: bool,
    /// The last question to the office that it has not answered yet.
    asked: Option<Question>,
    answer: Option<(Question, Result<Plan, String>)>,
}

/// What the office is to plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    text: SecretText,
    name: String,
    /// Which hosts and keys there are, as a number that differs whenever they do.
    state: u64,
}

impl ImportForm {
    /// What comes of a text that was changed: the name follows it.
    pub(super) fn follow_text(&mut self) {
        self.tried = true;
        if let Ok(invitation) = self.invitation() {
            self.name = invitation.name.to_string();
        }
    }

    /// # Errors
    /// What is wrong with it.
    pub(super) fn invitation(&self) -> Result<Invitation, String> {
        let text = check_length(&self.secret.text).map_err(|error| sentence(&error.to_string()))?;
        Invitation::find(text).map_err(|error| sentence(&error.to_string()))
    }

    /// What accepting it would do beside the hosts and keys of this state; none while that is not known.
    ///
    /// # Errors
    /// Why it cannot be accepted so.
    pub(super) fn plan(&self, state: u64) -> Option<Result<&Plan, String>> {
        if let Err(fault) = self.host_name() {
            return Some(Err(fault));
        }
        let (question, plan) = self.answer.as_ref()?;
        self.is_asked_by(question, state).then(|| plan.as_ref().map_err(Clone::clone))
    }

    /// What the office has to find out next: one thing at a time, because it may have to ask the person.
    pub(super) fn ask(&mut self, state: u64) -> Option<(Question, Invitation, Option<Name>)> {
        if self.asked.is_some() || self.saving.is_some() || self.plan(state).is_some() {
            return None;
        }
        let (invitation, name) = (self.invitation().ok()?, self.host_name().ok()?);
        let question = Question { text: self.secret.text.clone(), name: self.name.clone(), state };
        self.asked = Some(question.clone());
        // Its own name is not one that somebody has chosen.
        let chosen = Some(name).filter(|name| *name != invitation.name);
        Some((question, invitation, chosen))
    }

    /// The office has answered.
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
