using Hone.Core.Tests.Child;

// Child --script FILE COMMAND ARGUMENT…: plays the section of the script that fits the command.
if (args is not ["--script", var script, var command, var argument, ..])
{
    Console.Error.WriteLine("usage: --script FILE COMMAND ARGUMENT");
    return 2;
}
Native.LeadGroup();
return command == "engine"
    ? await EngineDouble.RunAsync(script, socket: args[^1])
    : new ScriptPlayer(script, command, argument).Run();
