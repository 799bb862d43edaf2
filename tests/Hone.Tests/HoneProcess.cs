using System.Diagnostics;
using System.Runtime.InteropServices;
using Hone.Core.Processes;

namespace Hone.Tests;

/// <summary>The executable itself, as a person starts it.</summary>
internal sealed partial class HoneProcess : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly Process _process;
    private readonly Task<string> _error;

    public HoneProcess(params string[] args) : this([], args)
    {
    }

    public HoneProcess(Dictionary<string, string> environment, params string[] args)
    {
        HoneExecutable executable = HoneExecutable.Locate();
        var info = new ProcessStartInfo(executable.FileName) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in executable.LeadingArguments.Concat(args))
            info.ArgumentList.Add(argument);
        foreach (string name in info.Environment.Keys.Where(key => key.StartsWith("HONE_", StringComparison.Ordinal)).ToArray())
            info.Environment.Remove(name);
        foreach ((string name, string value) in environment)
            info.Environment[name] = value;
        _process = Process.Start(info)!;
        _error = _process.StandardError.ReadToEndAsync();
    }

    public int Id => _process.Id;

    public Task<string> ErrorAsync() => _error.WaitAsync(Patience);

    /// <summary>The first line of standard output that has the text.</summary>
    public async Task<string> LineWithAsync(string text)
    {
        while (await _process.StandardOutput.ReadLineAsync().WaitAsync(Patience) is { } line)
        {
            if (line.Contains(text, StringComparison.Ordinal))
                return line;
        }
        throw new InvalidOperationException($"Standard output ended before \"{text}\" came. {await ErrorAsync()}");
    }

    public async Task<string> RestAsync() => await _process.StandardOutput.ReadToEndAsync().WaitAsync(Patience);

    public void EndInput() => _process.StandardInput.Close();

    public void Signal(int number) => Assert.Equal(0, Kill(Id, number));

    public async Task<int> ExitAsync(TimeSpan? patience = null)
    {
        await _process.WaitForExitAsync().WaitAsync(patience ?? Patience);
        return _process.ExitCode;
    }

    /// <summary>Completes when no process but this one names the folder on its command line.</summary>
    public static async Task NobodyUsesAsync(string folder)
    {
        foreach (string entry in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(entry), out int id) || id == Environment.ProcessId)
                continue;
            try
            {
                using Process process = Process.GetProcessById(id);
                if (File.ReadAllText(Path.Combine(entry, "cmdline")).Contains(folder, StringComparison.Ordinal))
                    await process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60));
            }
            catch (Exception gone) when (gone is ArgumentException or IOException or UnauthorizedAccessException or InvalidOperationException)
            {
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}
