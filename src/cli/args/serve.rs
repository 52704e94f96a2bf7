//! `sluicegate serve`: what was typed.

use argh::FromArgs;
use sluicegate::config::Draft;

one_route_command! {
    /// Serve the files of a folder.
    #[argh(subcommand, name = "serve", usage = "[options] [--] DIR", help_triggers("-h", "--help", "help"))]
    Serve {
        /// the folder that is served at /
        #[argh(positional, arg_name = "DIR")]
        pub(in crate::cli) dir: String,

        /// list folders that have no index file (default no)
        #[argh(switch)]
        pub(in crate::cli) list: bool,

        /// the file that is served for a folder (default index.html)
        #[argh(option, arg_name = "name")]
        pub(in crate::cli) index: Option<String>,

        /// serve names that begin with a dot (default no, only /.well-known)
        #[argh(switch)]
        pub(in crate::cli) dot_files: bool,

        /// how far symbolic links lead: inside (the folder) or anywhere (default inside)
        #[argh(option, arg_name = "where")]
        pub(in crate::cli) follow_links: Option<String>,

        /// the media type of an extension: ts=video/mp2t; repeatable (default by a table)
        #[argh(option, arg_name = "ext=type")]
        pub(in crate::cli) media_type: Vec<String>,
    }
}

impl Serve {
    /// Sets the keys of its flags.
    pub(in crate::cli) fn set(&self, draft: &mut Draft) {
        draft.text("", "route[0].path", Some("/"));
        draft.text("DIR", "route[0].files", Some(&self.dir));
        draft.switch("--list", "route[0].list", self.list, true);
        draft.text("--index", "route[0].index", self.index.as_deref());
        draft.switch("--dot-files", "route[0].dot_files", self.dot_files, true);
        draft.text("--follow-links", "route[0].follow_links", self.follow_links.as_deref());
        let form = "gives no type: write EXTENSION=TYPE, as in ts=video/mp2t";
        draft.pairs("--media-type", "route[0].types", &self.media_type, form);
        self.set_route(draft);
    }
}
