using System.Diagnostics;
using System.Runtime.InteropServices;
using Hone.Core.Processes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hone.Core.Tests.Processes;

/// <summary>A folder of one test, the script of its children, and named pipes by which they and the test signal each other.</summary>
public sealed partial class ScriptedChild : IDisposable
{
    /// <summary>A test that waits longer than this has failed.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    private readonly string _script;

    public ScriptedChild(string script)
    {
        Folder = Directory.CreateTempSubdirectory("hone-test-").FullName;
        _script = Path.Combine(Folder, "script");
        File.WriteAllText(_script, script);
        Executable = new HoneExecutable(Path.Combine(AppContext.BaseDirectory, "Hone.Core.Tests.Child"), ["--script", _script]);
    }

    public string Folder { get; }

    public HoneExecutable Executable { get; }

    public void Rewrite(string script) => File.WriteAllText(_script, script);

    public string MakeFifo(string name)
    {
        string path = Path.Combine(Folder, name);
        Assert.Equal(0, MakeFifo(path, 0x180));
        return path;
    }

    /// <summary>Returns when a child writes into the pipe.</summary>
    public static Task HearAsync(string fifo) => Task.Run(() =>
    {
        using var stream = new FileStream(fifo, FileMode.Open, FileAccess.Read);
        Assert.Equal(1, stream.ReadByte());
    }).WaitAsync(Patience);

    public static async Task<bool> IsGoneAsync(int processId)
    {
        try
        {
            using var process = Process.GetProcessById(processId);
            await process.WaitForExitAsync().WaitAsync(Patience);
            return true;
        }
        catch (ArgumentException)
        {
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    public static bool IsRunning(int processId)
    {
        try
        {
            using var process = Process.GetProcessById(processId);
            return !process.HasExited;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    internal ChildProcess Start(string command, params string[] arguments) =>
        ChildProcess.Start(new ChildStart { Executable = Executable, Arguments = [command, .. arguments] }, NullLogger.Instance, TimeProvider.System);

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    [LibraryImport("libc", EntryPoint = "mkfifo", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MakeFifo(string path, uint mode);
}
