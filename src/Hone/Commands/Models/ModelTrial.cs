using System.Text;
using Hone.Core.Inference;
using Hone.Formats.Inference;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hone.Commands.Models;

/// <summary>One answer of a model by an engine of its own, as the server starts them; it ends with the answer.</summary>
internal static class ModelTrial
{
    private const string Question = "What is the capital of France? Answer in one sentence.";
    private const string Beginning = "The capital of France is";
    private const int MaxTokens = 24;

    private static readonly TimeSpan s_loadLimit = TimeSpan.FromMinutes(10);

    /// <param name="chat">Whether the model has a chat template; else it goes on with a text.</param>
    /// <exception cref="CliException">The engine does not load the model, or does not answer.</exception>
    public static async Task<CheckedAnswer> RunAsync(string modelPath, bool chat, CancellationToken cancellationToken)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("hone-check-");
        try
        {
            long began = TimeProvider.System.GetTimestamp();
            await using var engines = new EnginePool(
                (_, _) => Task.FromResult<string?>(modelPath), new EngineSettings { DataFolder = folder.FullName, StartLimit = s_loadLimit }, NullLogger<EnginePool>.Instance, TimeProvider.System);
            var request = new GenerateRequest { Prompt = chat ? Question : Beginning, Raw = !chat, MaxTokens = MaxTokens };
            var text = new StringBuilder();
            await foreach (GenerateEvent next in engines.GenerateAsync(modelPath, request, cancellationToken))
            {
                switch (next)
                {
                    case GenerateEvent.Token token:
                        text.Append(token.Text);
                        break;
                    case GenerateEvent.Failed failed:
                        throw new CliException($"{modelPath}: the model gives no answer: {failed.Message}");
                    case GenerateEvent.Done done:
                        return new CheckedAnswer(
                            request.Prompt, text.ToString(), done.FinishReason, done.PromptTokens, done.CompletionTokens, Math.Round(TimeProvider.System.GetElapsedTime(began).TotalSeconds, 2));
                }
            }
            throw new CliException($"{modelPath}: the engine ended its answer without saying how.");
        }
        catch (EngineException failed)
        {
            throw new CliException($"{modelPath}: the model gives no answer: {failed.Message}", "--no-answer leaves it out.");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
