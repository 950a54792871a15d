//! `[notify]`: the program that tells people about events. It is checked as the program of a command is.

#[cfg(test)]
mod tests;

use ruroco_files::toml_file::{
    table::{Table, Taken},
    value::{Filled, Located},
};

use super::{Checker, SAFE_PATH};
use crate::{
    fields::ENV,
    notify::{Notify, fields},
};

/// The name of the table.
pub(super) const NOTIFY: &str = "notify";

impl Checker<'_> {
    /// What the table says, if it is there and right.
    pub(super) fn notify(&mut self, table: Taken<Table<'_>>) -> Option<Notify> {
        let Located { value: mut table, at } = table.ok()?;
        let problems = &mut self.problems;
        let run = table.take(&fields::RUN, problems);
        let topics = table.take_or_default(&fields::EVENTS, problems);
        let [user, group] =
            [&fields::USER, &fields::GROUP].map(|field| table.take(field, problems).ok());
        let timeout = table.take_or_default(&fields::TIMEOUT, problems);
        let cwd = table.take_or_default(&fields::CWD, problems);
        let env = table.take_table(ENV, problems).ok();
        let env = env.map(|mut env| env.value.take_secret_texts(problems)).unwrap_or_default();
        table.reject_unknown(&fields::notify(), &[ENV], problems);

        if run.is_absent() {
            let message = "[notify] has no `run`. Set, for example, run = [\"/usr/local/lib/ruroco/notify\"], or \
                           remove the table";
            self.problems.add(self.file.error(at, message));
        }
        let program = run.ok().and_then(|run| self.run(run));
        let user_and_group = self.user_and_group(user.as_ref(), group.as_ref());
        let cwd = cwd.map(|cwd| self.cwd(cwd));
        let env = self.env(env);
        if let (Some(program), Some((uid, _))) = (&program, user_and_group) {
            let search = env.get("PATH").map_or(SAFE_PATH, String::as_str);
            self.check_program(program.at.clone(), &program.value, uid, search);
        }
        let ((uid, gid), Filled(topics)) = (user_and_group?, topics?.value);
        Some(Notify {
            program: program?.value,
            uid,
            gid,
            timeout: timeout?.value.0,
            cwd: cwd?,
            env,
            topics: topics.into_iter().map(|topic| topic.0).collect(),
        })
    }
}
