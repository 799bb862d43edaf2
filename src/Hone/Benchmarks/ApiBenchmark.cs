using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Hone.Client;
using Hone.Core.Models;
using Hone.Quickstart;

namespace Hone.Benchmarks;

/// <summary>
/// The API of a real <c>hone serve</c>, client and server on the same cores:
/// 1. the disk's own rate of syncs; 2. an upload beside <c>cp</c> and <c>sha256sum</c>; 3. a list of 100; 4. creations over 1 connection and over 32;
/// 5. the upload again, now that the server has seen work; 6. 500 requests a second while a job trains and an answer streams.
/// </summary>
internal sealed class ApiBenchmark(ServerChild server, string folder, TimeSpan time, int uploadMegabytes, Action<string> note)
{
    private const int Listed = 100, ListConnections = 8, BusyRate = 500, BusyConnections = 16;

    private readonly string _root = $"/client/v4/accounts/{server.Connection.AccountId}/ai/finetunes";
    private int _names;

    public async Task<ApiFigures> RunAsync(CancellationToken cancellationToken)
    {
        note("the disk");
        Latencies sync = Sync();
        note("upload");
        Uploaded fresh = await UploadAsync("upload", cancellationToken);
        note("list");
        WarmUp(cancellationToken);
        (double listRate, Latencies list) = await LoadAsync(ListConnections, connection => _ => connection.Request("GET", _root, null), reuse: true, cancellationToken);
        (double readRate, _) = await LoadAsync(ListConnections, connection => _ => connection.Request("GET", _root + "?page=1&per_page=100", null), reuse: true, cancellationToken);
        note("create");
        (double oneRate, Latencies one) = await LoadAsync(1, Creation, reuse: false, cancellationToken);
        (double manyRate, Latencies many) = await LoadAsync(32, Creation, reuse: false, cancellationToken);
        note("upload again");
        Uploaded later = await UploadAsync("upload-again", cancellationToken);
        note("while a job trains and an answer streams");
        Busy busy = await BusyAsync(cancellationToken);
        double syncs = 1000 * sync.Count / time.TotalMilliseconds;
        return new ApiFigures(
            syncs, sync.Quantile(0.99),
            oneRate, one.Quantile(0.5), one.Quantile(0.99), oneRate / syncs,
            manyRate, many.Quantile(0.5), many.Quantile(0.99),
            listRate, list.Quantile(0.5), list.Quantile(0.99), readRate,
            fresh.Seconds, fresh.Copy, fresh.Copy / fresh.Seconds, fresh.PeakMb, later.Copy / later.Seconds, later.PeakMb,
            busy.Rate, busy.Latencies.Quantile(0.5), busy.Latencies.Quantile(0.99), busy.Latencies.Quantile(1), busy.Steps, busy.TokensPerSecond,
            server.PeakMemoryMb());
    }

    private Latencies Sync()
    {
        var latencies = new Latencies();
        string path = Path.Combine(folder, "fsync");
        byte[] page = new byte[4096];
        using (var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 0))
        {
            for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < time;)
            {
                long before = Stopwatch.GetTimestamp();
                file.Write(page);
                file.Flush(flushToDisk: true);
                latencies.Add(Stopwatch.GetTimestamp() - before);
            }
        }
        File.Delete(path);
        return latencies;
    }

    /// <summary>The finetunes of the list; then the compiler is given time to see what is hot.</summary>
    private void WarmUp(CancellationToken cancellationToken)
    {
        using RawConnection connection = Connect();
        for (int i = 0; i < Listed; i++)
            Must(connection, Creation(connection)(i), cancellationToken);
        byte[] list = connection.Request("GET", _root, null);
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(1);)
            Must(connection, list, cancellationToken);
    }

    private Func<int, byte[]> Creation(RawConnection connection) => _ =>
        connection.Request("POST", _root, $$"""{"model":"{{ModelCatalog.EmbeddedId}}","name":"bench {{Interlocked.Increment(ref _names)}}","description":"One of many."}""");

    private RawConnection Connect() => new(server.Connection.Url, server.Connection.Token);

    private static void Must(RawConnection connection, byte[] request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        int status = connection.Send(request);
        if (status != 200)
            throw new CliException($"The server answered {status} to {Encoding.ASCII.GetString(request.AsSpan(0, Math.Min(60, request.Length)))}");
    }

    private static Task<Latencies> OnThread(Func<Latencies> work) => Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>So many connections, each with one request after the other.</summary>
    private async Task<(double PerSecond, Latencies Latencies)> LoadAsync(int connections, Func<RawConnection, Func<int, byte[]>> requests, bool reuse, CancellationToken cancellationToken)
    {
        RawConnection[] open = [.. Enumerable.Range(0, connections).Select(_ => Connect())];
        var all = new Latencies();
        long start = Stopwatch.GetTimestamp();
        Latencies[] each = await Task.WhenAll(open.Select(connection => OnThread(() =>
        {
            var latencies = new Latencies();
            Func<int, byte[]> request = requests(connection);
            byte[]? same = reuse ? request(0) : null;
            for (int i = 0; Stopwatch.GetElapsedTime(start) < time; i++)
            {
                byte[] next = same ?? request(i);
                long before = Stopwatch.GetTimestamp();
                Must(connection, next, cancellationToken);
                latencies.Add(Stopwatch.GetTimestamp() - before);
            }
            return latencies;
        })));
        TimeSpan took = Stopwatch.GetElapsedTime(start);
        foreach (Latencies latencies in each)
            all.Add(latencies);
        foreach (RawConnection connection in open)
            connection.Dispose();
        return (all.Count / took.TotalSeconds, all);
    }

    /// <param name="Copy">Seconds of <c>cp</c> and <c>sha256sum</c>.</param>
    private sealed record Uploaded(double Seconds, double Copy, double PeakMb);

    private async Task<Uploaded> UploadAsync(string name, CancellationToken cancellationToken)
    {
        string path = Path.Combine(folder, "adapter_model.safetensors"), copyPath = path + ".copy";
        await WriteAdapterAsync(path, uploadMegabytes, cancellationToken);
        using var http = new HttpClient { BaseAddress = server.Connection.Url, Timeout = TimeSpan.FromMinutes(5) };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", server.Connection.Token);
        using var created = await http.PostAsync(_root, new StringContent($$"""{"model":"{{ModelCatalog.EmbeddedId}}","name":"{{name}}"}"""), cancellationToken);
        created.EnsureSuccessStatusCode();
        server.ForgetPeakMemory();
        long start = Stopwatch.GetTimestamp();
        await using (FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 0, FileOptions.SequentialScan))
        {
            using var form = new MultipartFormDataContent { { new StringContent("adapter_model.safetensors"), "file_name" }, { new StreamContent(file, 1 << 18), "file", "adapter_model.safetensors" } };
            using HttpResponseMessage answer = await http.PostAsync($"{_root}/{name}/finetune-assets", form, cancellationToken);
            if (!answer.IsSuccessStatusCode)
                throw new CliException($"The upload was answered with {(int)answer.StatusCode}: {await answer.Content.ReadAsStringAsync(cancellationToken)}");
        }
        double upload = Stopwatch.GetElapsedTime(start).TotalSeconds;
        double peak = server.PeakMemoryMb();
        start = Stopwatch.GetTimestamp();
        await ProgramAsync("cp", [path, copyPath], cancellationToken);
        await ProgramAsync("sha256sum", [copyPath], cancellationToken);
        double copy = Stopwatch.GetElapsedTime(start).TotalSeconds;
        File.Delete(path);
        File.Delete(copyPath);
        return new Uploaded(upload, copy, peak);
    }

    /// <summary>A safetensors file of one tensor with random bytes.</summary>
    private static async Task WriteAdapterAsync(string path, int megabytes, CancellationToken cancellationToken)
    {
        long size = ((long)megabytes << 20) - 4096;
        byte[] header = Encoding.ASCII.GetBytes($$$"""{"t":{"dtype":"U8","shape":[{{{size}}}],"data_offsets":[0,{{{size}}}]}}""");
        await using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 0);
        await file.WriteAsync(BitConverter.GetBytes((long)header.Length), cancellationToken);
        await file.WriteAsync(header, cancellationToken);
        byte[] block = new byte[1 << 20];
        new Random(1).NextBytes(block);
        for (long left = size; left > 0; left -= block.Length)
            await file.WriteAsync(block.AsMemory(0, (int)Math.Min(left, block.Length)), cancellationToken);
        file.Flush(flushToDisk: true);
    }

    private static async Task ProgramAsync(string name, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        using Process process = Process.Start(new ProcessStartInfo(name, arguments) { RedirectStandardOutput = true })!;
        await process.StandardOutput.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        if (process.ExitCode != 0)
            throw new CliException($"{name} ended with {process.ExitCode}.");
    }

    private sealed record Busy(double Rate, Latencies Latencies, double Steps, double TokensPerSecond);

    private async Task<Busy> BusyAsync(CancellationToken cancellationToken)
    {
        using var client = new HoneClient(server.Connection);
        await client.CreateFinetuneAsync(new CreateFinetune(ModelCatalog.EmbeddedId, "busy", null, false), cancellationToken);
        string config = Path.Combine(folder, "training_config.json");
        await File.WriteAllTextAsync(config, """{"n_epochs": 50, "batch_size": 8, "rank": 8, "seed": 7}""", cancellationToken);
        await client.UploadAssetAsync("busy", "training_config.json", config, cancellationToken);
        await client.UploadAssetAsync("busy", "training_data.jsonl", Examples.Open(null).Training, cancellationToken);
        int before = await StepsAsync(client, 2, cancellationToken);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var streaming = new TaskCompletionSource();
        Task<int> stream = StreamAsync(streaming, over.Token);
        await streaming.Task.WaitAsync(TimeSpan.FromMinutes(1), cancellationToken);
        byte[][] kinds;
        using (RawConnection any = Connect())
            kinds = [any.Request("GET", _root + "/busy", null), any.Request("GET", _root.Replace("/finetunes", "/models/search", StringComparison.Ordinal), null), any.Request("GET", _root + "/busy/events?limit=20", null)];
        Latencies[] each = await Task.WhenAll(Enumerable.Range(0, BusyConnections).Select(index => OnThread(() => Pace(index, kinds, cancellationToken))));
        await over.CancelAsync();
        int tokens = await stream;
        int after = await StepsAsync(client, 0, cancellationToken);
        await client.CancelFinetuneAsync("busy", cancellationToken);
        var all = new Latencies();
        foreach (Latencies latencies in each)
            all.Add(latencies);
        return new Busy(all.Count / time.TotalSeconds, all, after - before, tokens / time.TotalSeconds);
    }

    /// <summary>One connection's share of the rate: requests go out when it is their turn, and what a late one keeps waiting counts as its own time.</summary>
    private Latencies Pace(int index, byte[][] kinds, CancellationToken cancellationToken)
    {
        using RawConnection connection = Connect();
        var latencies = new Latencies();
        long apart = Stopwatch.Frequency * BusyConnections / BusyRate, start = Stopwatch.GetTimestamp() + apart * index / BusyConnections;
        int requests = (int)(time.TotalSeconds * BusyRate / BusyConnections);
        for (int i = 0; i < requests; i++)
        {
            long turn = start + apart * i;
            TimeSpan wait = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), turn);
            if (wait > TimeSpan.Zero)
                cancellationToken.WaitHandle.WaitOne(wait);
            // The timer's own lateness is not the server's.
            long sent = wait > TimeSpan.Zero ? Stopwatch.GetTimestamp() : turn;
            byte[] request = (i + index) % 4 == 3
                ? connection.Request("POST", _root, $$"""{"model":"{{ModelCatalog.EmbeddedId}}","name":"busy {{index}} {{i}}"}""")
                : kinds[(i + index) % 4];
            Must(connection, request, cancellationToken);
            latencies.Add(Stopwatch.GetTimestamp() - sent);
        }
        return latencies;
    }

    /// <summary>Waits for a step of the job; answers the last one's number.</summary>
    private static async Task<int> StepsAsync(HoneClient client, int atLeast, CancellationToken cancellationToken)
    {
        for (long start = Stopwatch.GetTimestamp(); ; await Task.Delay(200, cancellationToken))
        {
            Finetune finetune = await client.GetFinetuneAsync("busy", cancellationToken);
            int step = finetune.Metrics is { ValueKind: JsonValueKind.Object } metrics && metrics.TryGetProperty("step", out JsonElement number) ? number.GetInt32() : 0;
            if (step >= atLeast)
                return step;
            if (finetune.Status is "failed" or "cancelled" || Stopwatch.GetElapsedTime(start) > TimeSpan.FromMinutes(2))
                throw new CliException($"The job of the measurement is {finetune.Status} at step {step}.");
        }
    }

    /// <summary>Answers, one after the other, until it is told to stop; how many pieces came.</summary>
    private async Task<int> StreamAsync(TaskCompletionSource started, CancellationToken until)
    {
        using var http = new HttpClient { BaseAddress = server.Connection.Url, Timeout = Timeout.InfiniteTimeSpan };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", server.Connection.Token);
        string run = _root.Replace("/finetunes", $"/run/{ModelCatalog.EmbeddedId}", StringComparison.Ordinal);
        int pieces = 0;
        try
        {
            while (true)
            {
                using var request = new HttpRequestMessage(HttpMethod.Post, run)
                {
                    Content = new StringContent("""{"prompt":"Write a long story about a lighthouse.","stream":true,"max_tokens":2000,"temperature":1}"""),
                };
                using HttpResponseMessage answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, until);
                answer.EnsureSuccessStatusCode();
                using var lines = new StreamReader(await answer.Content.ReadAsStreamAsync(until));
                while (await lines.ReadLineAsync(until) is { } line)
                {
                    if (line.StartsWith("data: ", StringComparison.Ordinal))
                    {
                        pieces += started.TrySetResult() ? 0 : 1;
                    }
                }
            }
        }
        catch (OperationCanceledException) when (until.IsCancellationRequested)
        {
            return pieces;
        }
        catch (Exception e)
        {
            started.TrySetException(e);
            throw;
        }
    }
}
