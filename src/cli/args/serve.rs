//! `sluicegate serve`: what was typed.

use argh::{ArgsInfo, FromArgs};
use sluicegate::config::Draft;

use super::{Flags, Key, flag};

one_route_command! {
    /// Serve the files of a folder.
    #[argh(
        subcommand,
        name = "serve",
        usage = "[options] [--] DIR",
        example = "{command_name} site --rate 60\n\
            {command_name} site --rate 1.5m --burst 256 --client-rate 4m\n\
            {command_name} site --listen '[::]:8080' --access-log access.log",
        help_triggers("-h", "--help", "help")
    )]
    Serve {
        /// the folder that is served at /
        #[argh(positional, arg_name = "DIR")]
        dir: String,

        /// list folders that have no index file (default no)
        #[argh(switch)]
        list: bool => "route[0].list",

        /// the file that is served for a folder (default index.html)
        #[argh(option, arg_name = "name")]
        index: Option<String> => "route[0].index",

        /// serve names that begin with a dot (default no, only /.well-known)
        #[argh(switch)]
        dot_files: bool => "route[0].dot_files",

        /// how far symbolic links lead: inside (the folder) or anywhere (default inside)
        #[argh(option, arg_name = "where")]
        follow_links: Option<String> => "route[0].follow_links",

        /// the media type of an extension: ts=video/mp2t; repeatable (default by a table)
        #[argh(option, arg_name = "ext=type")]
        media_type: Vec<String>,
    }
}

impl Serve {
    fn set_others(&self, draft: &mut Draft) {
        draft.text("", "route[0].path", Some("/"));
        draft.text("DIR", "route[0].files", Some(&self.dir));
        let form = "gives no type: write EXTENSION=TYPE, as in ts=video/mp2t";
        draft.pairs("--media-type", "route[0].types", &self.media_type, form);
    }
}
