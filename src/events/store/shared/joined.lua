-- Begins each script for subscribers. Whether a stream is still the one of this incarnation, in the run in which a server joined it, and of this process;
-- `was` begins with incarnation and run in `about`. Numbers of any other are of other events.
local function is_joined(was, incarnation, run)
  return was[1] == incarnation and was[2] == run and string.sub(run, 1, #process) == process
end
