using System.Net.Sockets;
using System.Text.Json;
using Hone.Formats.Inference;
using Hone.Formats.Jobs;

namespace Hone.Core.Tests.Child;

/// <summary>
/// Listens like an engine and does what the prompt says: <c>say WORDS</c>, <c>crash</c> (after one token), <c>end</c> (with code 0, after one token), <c>cut</c> (the connection, after one token), <c>garbage</c>,
/// <c>hold FIFO</c> (one token, then nothing; writes to the FIFO when the client is gone), <c>whoami</c>, <c>seed</c>, <c>request</c> (as JSON), <c>probably WORDS</c> (with log-probabilities), <c>call FUNCTION [ARGUMENTS]</c>, <c>begin WORD</c> (and run into max_tokens). The script's <c>[engine]</c> section may say <c>silent</c>, <c>exit CODE</c>, <c>garbage</c>
/// <c>after FIFO</c> (ready once its process id was read there) or <c>once FILE</c> (exit 9 at the start where the file exists).
/// </summary>
internal static class EngineDouble
{
    public static async Task<int> RunAsync(string script, string socket)
    {
        string[] lines = File.ReadAllLines(script);
        string how = lines.SkipWhile(l => l != "[engine]").Skip(1).FirstOrDefault() ?? "";
        if (how.StartsWith("exit ", StringComparison.Ordinal))
        {
            Console.Error.WriteLine("engine: the model is broken at byte 17");
            return int.Parse(how.AsSpan(5), System.Globalization.CultureInfo.InvariantCulture);
        }
        if (how.StartsWith("after ", StringComparison.Ordinal))
        {
            File.AppendAllText(how[6..], Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture));
            how = "";
        }
        if (how == "garbage")
            Console.WriteLine("{\"socket\":");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(socket));
        listener.Listen(128);
        if (how == "")
            Console.WriteLine(JsonSerializer.Serialize(new EngineReady(socket, Environment.ProcessId, 0.1), EngineJson.Default.EngineReady));
        _ = AcceptAsync(listener);
        await Console.OpenStandardInput().ReadExactlyAsync(new byte[1]).AsTask().ContinueWith(_ => { }, TaskScheduler.Default);
        return 0;
    }

    private static async Task AcceptAsync(Socket listener)
    {
        while (true)
            _ = AnswerAsync(await listener.AcceptAsync());
    }

    private static async Task AnswerAsync(Socket client)
    {
        await using var stream = new NetworkStream(client, ownsSocket: true);
        using var reader = new StreamReader(stream);
        await using var writer = new StreamWriter(stream) { AutoFlush = true, NewLine = "\n" };
        GenerateRequest request = JsonSerializer.Deserialize(await reader.ReadLineAsync() ?? "", EngineJson.Default.GenerateRequest)!;
        string[] words = request.PromptTokens is { } tokens ? ["say", string.Join(',', tokens)] : (request.Prompt ?? LastText(request)).Split(' ');
        switch (words[0])
        {
            case "say":
                foreach (string word in words[1..])
                    await SendAsync(new GenerateEvent.Token(word));
                await SendAsync(new GenerateEvent.Done("stop", 3, words.Length - 1));
                break;
            case "seed":
                await SendAsync(new GenerateEvent.Token($"{request.Seed}"));
                await SendAsync(new GenerateEvent.Done("length", 1, 1, 1));
                break;
            case "request":
                await SendAsync(new GenerateEvent.Token(JsonSerializer.Serialize(request, EngineJson.Default.GenerateRequest)));
                await SendAsync(new GenerateEvent.Done("stop", 1, 1));
                break;
            case "probably":
                foreach (string word in words[1..])
                    await SendAsync(new GenerateEvent.Token(word, [new TokenLogprob(word, -0.5, System.Text.Encoding.UTF8.GetBytes(word), [new TokenAlternative(word, -0.5, [1]), new TokenAlternative("x", -1.5, [120])])]));
                await SendAsync(new GenerateEvent.Done("stop", 3, words.Length - 1));
                break;
            case "call":
                await SendAsync(new GenerateEvent.ToolCall(0, "call_1", words[1], words.Length > 2 ? words[2] : """{"city":"Oslo"}"""));
                await SendAsync(new GenerateEvent.Done("tool_calls", 3, 4));
                break;
            case "begin":
                await SendAsync(new GenerateEvent.Token(words[1]));
                await SendAsync(new GenerateEvent.Done("length", 3, 1));
                break;
            case "whoami":
                await SendAsync(new GenerateEvent.Token(Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture)));
                await SendAsync(new GenerateEvent.Done("stop", 1, 1));
                break;
            case "refuse":
                await SendAsync(new GenerateEvent.Failed("too_long", "The prompt is too long."));
                break;
            case "end":
                await SendAsync(new GenerateEvent.Token("one"));
                Environment.Exit(ChildExitCodes.AskedToEnd);
                break;
            case "crash":
                await SendAsync(new GenerateEvent.Token("one"));
                await Console.Error.WriteLineAsync("engine: out of luck");
                Native.KillSelf();
                break;
            case "cut":
                await SendAsync(new GenerateEvent.Token("one"));
                break;
            case "garbage":
                await writer.WriteLineAsync("{\"type\":\"nonsense\"}");
                break;
            case "hold":
                await SendAsync(new GenerateEvent.Token("one"));
                _ = await reader.ReadLineAsync();
                using (var fifo = new FileStream(words[1], FileMode.Open, FileAccess.Write))
                    fifo.WriteByte(1);
                break;
            case var _ when request.Prompt is null:
                await SendAsync(new GenerateEvent.Token("hello"));
                await SendAsync(new GenerateEvent.Done("stop", 3, 1));
                break;
            default:
                throw new InvalidDataException(request.Prompt);
        }

        async Task SendAsync(GenerateEvent e) => await writer.WriteLineAsync(JsonSerializer.Serialize(e, EngineJson.Default.GenerateEvent));
    }
    private static string LastText(GenerateRequest request) =>
        request.Messages!.Value.EnumerateArray().Last().TryGetProperty("content", out JsonElement content) && content.ValueKind is JsonValueKind.String ? content.GetString()! : "";
}
