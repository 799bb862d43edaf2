using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;
using Hone.Core.Processes;

namespace Hone.Tests.Crash;

/// <summary>The real <c>hone serve</c> on a data folder, armed to be killed at a named point, and a client of its public API.</summary>
internal sealed class CrashServer : IAsyncDisposable
{
    /// <summary>A test that waits longer for one thing has failed.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    private readonly Process _process;
    private readonly HttpClient _http;
    private readonly Task<string> _errors;
    private readonly Task<string> _output;

    private CrashServer(Process process, JsonNode credentials, Task<string> output, Task<string> errors)
    {
        _process = process;
        _output = output;
        _errors = errors;
        Connection = ["--url", credentials["url"]!.GetValue<string>(), "--account", credentials["account_id"]!.GetValue<string>(), "--token", credentials["token"]!.GetValue<string>()];
        _http = new HttpClient { BaseAddress = new Uri($"{credentials["url"]}/client/v4/accounts/{credentials["account_id"]}/ai/"), Timeout = Timeout.InfiniteTimeSpan };
        _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", credentials["token"]!.GetValue<string>());
    }

    public int Id => _process.Id;

    /// <summary>How the command line reaches it.</summary>
    public string[] Connection { get; }

    /// <param name="models">Folder of GGUF files to offer.</param>
    /// <param name="crashAt">Name of a crash point, as HONE_CRASH_AT takes it; null: none.</param>
    /// <param name="marker">Made by the process that is killed, so that it happens once over all processes.</param>
    public static async Task<CrashServer> StartAsync(string dataFolder, string models, string? crashAt = null, string? marker = null)
    {
        HoneExecutable hone = HoneExecutable.Locate();
        var info = new ProcessStartInfo(hone.FileName) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in hone.LeadingArguments.Concat(["serve", "--listen", "http://127.0.0.1:0", "--data", dataFolder, "--models", models, "--json", "--until-input-ends"]))
            info.ArgumentList.Add(argument);
        info.Environment["HONE_CRASH_AT"] = crashAt;
        info.Environment["HONE_CRASH_MARKER"] = marker;
        // On a machine that is busy with other tests, threads that wait for each other had better sleep.
        info.Environment["OMP_WAIT_POLICY"] = "passive";
        Process process = Process.Start(info)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string? line = await process.StandardOutput.ReadLineAsync().WaitAsync(Patience);
        if (line is null)
            throw new InvalidOperationException($"The server did not start: {await errors}");
        return new CrashServer(process, JsonNode.Parse(line)!, process.StandardOutput.ReadToEndAsync(), errors);
    }

    public async Task<string> CreateAsync(string model, string name)
    {
        using HttpResponseMessage answer = await _http.PostAsJsonAsync("finetunes", new { model, name });
        return (await ResultAsync(answer))["id"]!.GetValue<string>();
    }

    public async Task UploadAsync(string id, string fileName, string content)
    {
        using var form = new MultipartFormDataContent { { new StringContent(fileName), "file_name" }, { new ByteArrayContent(Encoding.UTF8.GetBytes(content)), "file", fileName } };
        using HttpResponseMessage answer = await _http.PostAsync($"finetunes/{id}/finetune-assets", form);
        _ = await ResultAsync(answer);
    }

    /// <summary>Follows the job to its final state, which is answered.</summary>
    public async Task<JsonNode> FinishAsync(string id)
    {
        using var patience = new CancellationTokenSource(Patience);
        using var request = new HttpRequestMessage(HttpMethod.Get, $"finetunes/{id}/events");
        request.Headers.Accept.ParseAdd("text/event-stream");
        using HttpResponseMessage answer = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, patience.Token);
        answer.EnsureSuccessStatusCode();
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync(patience.Token));
        bool final = false;
        var seen = new StringBuilder();
        try
        {
            while (await reader.ReadLineAsync(patience.Token) is { } line)
            {
                seen.AppendLine(line);
                if (line == "event: state")
                    final = true;
                else if (final && line.StartsWith("data:", StringComparison.Ordinal))
                    return JsonNode.Parse(line.AsSpan(5).ToString())!;
            }
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"The job did not end. Its events:\n{seen}");
        }
        throw new InvalidOperationException("The event stream ended before the job.");
    }

    /// <summary>Returns when the job has so many events of which the condition holds.</summary>
    public async Task SeeAsync(string id, Func<string, bool> wanted, int times = 1)
    {
        using var patience = new CancellationTokenSource(Patience);
        using var request = new HttpRequestMessage(HttpMethod.Get, $"finetunes/{id}/events");
        request.Headers.Accept.ParseAdd("text/event-stream");
        using HttpResponseMessage answer = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, patience.Token);
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync(patience.Token));
        while (await reader.ReadLineAsync(patience.Token) is { } line)
        {
            if (line.StartsWith("data:", StringComparison.Ordinal) && JsonNode.Parse(line.AsSpan(5).ToString())!["message"]?.GetValue<string>() is { } message && wanted(message) && --times == 0)
                return;
        }
        throw new InvalidOperationException("The job ended without the event.");
    }

    public async Task<List<string>> MessagesAsync(string id)
    {
        using HttpResponseMessage answer = await _http.GetAsync($"finetunes/{id}/events?limit=1000");
        return [.. (await ResultAsync(answer)).AsArray().Select(e => e!["message"]!.GetValue<string>())];
    }

    /// <summary>The greedy answer.</summary>
    public async Task<string> AskAsync(string model, string prompt, string? finetune)
    {
        using HttpResponseMessage answer = await _http.PostAsJsonAsync($"run/{model}", new { prompt, lora = finetune, max_tokens = 12, temperature = 0 });
        return (await ResultAsync(answer))["response"]!.GetValue<string>();
    }

    /// <summary>A long answer as a stream, once its first line is there; the task has the rest.</summary>
    public async Task<Task<string>> StreamAsync(string model, string prompt, int tokens)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"run/{model}") { Content = JsonContent.Create(new { prompt, raw = true, max_tokens = tokens, temperature = 0, stream = true }) };
        HttpResponseMessage answer = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        var reader = new StreamReader(await answer.EnsureSuccessStatusCode().Content.ReadAsStreamAsync());
        _ = await reader.ReadLineAsync();
        return RestAsync();

        async Task<string> RestAsync()
        {
            using (answer)
            using (reader)
                return await reader.ReadToEndAsync();
        }
    }

    public Task<byte[]> DownloadAsync(string id, string fileName) => _http.GetByteArrayAsync($"finetunes/{id}/finetune-assets/{fileName}");

    /// <summary>Returns when the server is gone, with its exit code.</summary>
    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(Patience);
        return _process.ExitCode;
    }

    /// <summary>Returns when no process names the folder on its command line: the trainers of a killed server end with their life line.</summary>
    public static async Task NobodyWorksInAsync(string folder)
    {
        foreach (string entry in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(entry), NumberStyles.None, CultureInfo.InvariantCulture, out int id) || id == Environment.ProcessId)
                continue;
            try
            {
                if (!(await File.ReadAllTextAsync(Path.Combine(entry, "cmdline"))).Contains(folder, StringComparison.Ordinal))
                    continue;
                using var process = Process.GetProcessById(id);
                await process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(30));
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or InvalidOperationException)
            {
                // It is gone.
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.StandardInput.Close();
            try
            {
                await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60));
            }
            catch (TimeoutException)
            {
                _process.Kill(entireProcessTree: true);
                await _process.WaitForExitAsync();
            }
        }
        _ = await _errors;
        _ = await _output;
        _http.Dispose();
        _process.Dispose();
    }

    private static async Task<JsonNode> ResultAsync(HttpResponseMessage answer)
    {
        string text = await answer.Content.ReadAsStringAsync();
        return answer.IsSuccessStatusCode ? JsonNode.Parse(text)!["result"]! : throw new InvalidOperationException($"{(int)answer.StatusCode}: {text}");
    }
}
