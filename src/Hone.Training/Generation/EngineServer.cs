using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text.Json;
using Hone.Formats;
using Hone.Formats.Constraints;
using Hone.Formats.Inference;
using Hone.Formats.Models;
using Hone.Formats.ToolCalls;

namespace Hone.Training.Generation;

/// <summary>
/// The engine's end of the Unix socket: a connection a request, lines of JSON both ways. The next event is taken when the client has read the one before, so that
/// a client which does not read stops its own stream and no other.
/// </summary>
internal sealed partial class EngineServer(Generator generator, AdapterStore adapters)
{
    /// <summary>Over what the server takes, whose characters may be written as up to six bytes each here.</summary>
    private const int LongestRequest = 6 * GenerateRequest.LongestBody + (1 << 20);

    private static readonly TimeSpan s_shortestPause = TimeSpan.FromMilliseconds(1), s_longestPause = TimeSpan.FromMilliseconds(16);
    private readonly AnswerConstraints _constraints = new(generator.Model);
    private readonly TemplateFeatures? _features = TemplateFeatures.Of(generator.Model);

    /// <summary>Until it is cancelled, and then by <see cref="OperationCanceledException"/>.</summary>
    public async Task ListenAsync(Socket listener, CancellationToken cancellation)
    {
        while (true)
        {
            Socket client = await listener.AcceptAsync(cancellation).ConfigureAwait(false);
            _ = ServeAsync(client, cancellation);
        }
    }

    private async Task ServeAsync(Socket client, CancellationToken cancellation)
    {
        using var stream = new NetworkStream(client, ownsSocket: true);
        using var hangUp = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            // The listener goes on meanwhile, whatever a request takes to be read and prepared.
            await Task.Yield();
            if (await ReadLineAsync(stream, hangUp.Token).ConfigureAwait(false) is not { } line)
                return;
            Task watch = WatchAsync(stream, hangUp);
            await foreach (GenerateEvent next in AnswerAsync(line, client, hangUp.Token).ConfigureAwait(false))
            {
                byte[] bytes = [.. JsonSerializer.SerializeToUtf8Bytes(next, EngineJson.Default.GenerateEvent), (byte)'\n'];
                await stream.WriteAsync(bytes, hangUp.Token).ConfigureAwait(false);
            }
            client.Shutdown(SocketShutdown.Send);
            await watch.ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The client hung up; its stream is abandoned through the token.
        }
        finally
        {
            await hangUp.CancelAsync().ConfigureAwait(false);
        }
    }

    private async IAsyncEnumerable<GenerateEvent> AnswerAsync(ReadOnlyMemory<byte> line, Socket client, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        GenerationStream? stream = null;
        GenerateEvent.Failed? failure = null;
        try
        {
            GenerateRequest request = JsonSerializer.Deserialize(line.Span, EngineJson.Default.GenerateRequest) ?? throw new JsonException("The request is null.");
            Constraint? constraint = _constraints.For(request);
            if (request.Stop is { Count: > 0 } && (request.Schema is not null || AnswerConstraints.MustCall(request)))
                throw new PromptException($"stop would cut an answer that {(request.Schema is not null ? "a schema" : "tool_choice")} governs: leave one of them out.");
            int vocabulary = generator.Model.Config.VocabularySize;
            if (request.LogitBias?.Keys.Where(t => t < 0 || t >= vocabulary).ToArray() is [var token, ..])
                throw new PromptException($"'logit_bias' names the token {token}; the model has those from 0 to {vocabulary - 1}.");
            int[] prompt = PromptEncoder.Encode(generator.Model, request, _constraints, _features, cancellation);
            int context = generator.Model.Config.ContextLength;
            if (prompt.Length >= context)
                failure = new GenerateEvent.Failed("too_long", $"The prompt has {prompt.Length} tokens; the model's context holds {context}. Shorten the prompt.");
            else
                (stream, failure) = await StartAsync(request, prompt, constraint, cancellation).ConfigureAwait(false);
        }
        catch (JsonException e)
        {
            failure = new GenerateEvent.Failed("bad_input", e.Message);
        }
        catch (Exception e) when (e is PromptException or SchemaException or MessageException)
        {
            failure = new GenerateEvent.Failed("bad_input", e.Message);
        }
        catch (Exception e) when (e is InvalidFileException or IOException)
        {
            failure = new GenerateEvent.Failed("bad_adapter", e.Message);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            await Console.Error.WriteLineAsync(e.ToString()).ConfigureAwait(false); // to the server's log
            failure = new GenerateEvent.Failed("internal", "The engine could not begin this answer. The server's log has the details.");
        }
        if (failure is not null)
        {
            yield return failure;
            yield break;
        }
        generator.Add(stream!);
        while (await stream!.Events.WaitToReadAsync(cancellation).ConfigureAwait(false))
        {
            for (TimeSpan pause = s_shortestPause; HasUnread(client); pause = pause < s_longestPause ? 2 * pause : pause)
                await Task.Delay(pause, cancellation).ConfigureAwait(false);
            if (stream.Events.TryRead(out GenerateEvent? next))
                yield return next;
        }
    }

    /// <summary>Whether the client has yet to read what was written. Only Linux tells: elsewhere the socket's buffer is what an unread stream fills.</summary>
    private static bool HasUnread(Socket client)
    {
        const nuint BytesInOutput = 0x5411; // SIOCOUTQ
        return OperatingSystem.IsLinux() && Control((int)client.Handle, BytesInOutput, out int bytes) == 0 && bytes > 0;
    }

    [LibraryImport("libc", EntryPoint = "ioctl")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Control(int descriptor, nuint request, out int value);

    private async Task<(GenerationStream? Stream, GenerateEvent.Failed? Failure)> StartAsync(GenerateRequest request, int[] prompt, Constraint? constraint, CancellationToken cancellation)
    {
        AdapterUse? use = await adapters.TakeAsync(request).ConfigureAwait(false);
        ToolCallFormat? calls = AnswerConstraints.MayCall(request) ? _constraints.Format : null;
        GenerationStream stream;
        try
        {
            stream = new GenerationStream(generator.Model, request, prompt, use?.Adapter, cancellation, constraint, calls) { AdapterUse = use };
        }
        catch
        {
            use?.Dispose();
            throw;
        }
        if (stream.MostCacheBytes <= generator.MaxCacheBytes)
            return (stream, null);
        var failure = new GenerateEvent.Failed("too_long",
            $"Prompt and answer may take {stream.MostTokens} tokens, whose keys and values need {Mebibytes(stream.MostCacheBytes)} MiB; this engine holds {Mebibytes(generator.MaxCacheBytes)} MiB for all answers. Lower max_tokens or shorten the prompt.");
        stream.Dispose();
        return (null, failure);

        static long Mebibytes(long bytes) => bytes >> 20;
    }

    /// <summary>Nothing more is expected from the client: whatever ends the reading is a hang-up.</summary>
    private static async Task WatchAsync(NetworkStream stream, CancellationTokenSource hangUp)
    {
        var buffer = new byte[64];
        try
        {
            while (await stream.ReadAsync(buffer, hangUp.Token).ConfigureAwait(false) > 0)
            {
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
        }
        await hangUp.CancelAsync().ConfigureAwait(false);
    }

    private static async Task<byte[]?> ReadLineAsync(NetworkStream stream, CancellationToken cancellation)
    {
        var line = new MemoryStream();
        var buffer = new byte[1 << 16];
        while (line.Length < LongestRequest)
        {
            int read = await stream.ReadAsync(buffer, cancellation).ConfigureAwait(false);
            if (read == 0)
                return null;
            int end = buffer.AsSpan(0, read).IndexOf((byte)'\n');
            line.Write(buffer, 0, end < 0 ? read : end);
            if (end >= 0)
                return line.ToArray();
        }
        return null;
    }
}
