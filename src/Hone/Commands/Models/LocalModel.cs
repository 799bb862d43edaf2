using System.CommandLine;
using Hone.Commands.Admin;
using Hone.Core.Models;
using Hone.Formats.Models;

namespace Hone.Commands.Models;

/// <summary>A base model opened in this process: by the path of its file or folder, the embedded one by its id, others by their id in a data folder.</summary>
internal static class LocalModel
{
    public static Option<string> Option() => new("--model")
    {
        Description = "The base model: its id, or its GGUF file or Hugging Face folder.",
        HelpName = "ID|PATH",
        DefaultValueFactory = _ => ModelCatalog.EmbeddedId,
    };

    public static async Task<string> PathOfAsync(string idOrPath, string? data, CancellationToken cancellationToken)
    {
        if (Path.Exists(idOrPath))
            return Path.GetFullPath(idOrPath);
        if (idOrPath == ModelCatalog.EmbeddedId)
            return ModelCatalog.FindEmbedded()?.Path ?? throw new CliException($"The file of {idOrPath} is missing.", $"it belongs in the folder models beside or above the program, {AppContext.BaseDirectory}.");
        if (idOrPath.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase))
            InputFile.MustExist(idOrPath);
        await using LocalStore store = await LocalStore.OpenAsync(data, create: false, cancellationToken);
        return (await store.Get<ModelCatalog>().FindAsync(idOrPath, cancellationToken))?.Path
            ?? throw new CliException($"There is no model {idOrPath}.", $"the embedded one is {ModelCatalog.EmbeddedId}; `hone models add` takes in others.");
    }

    public static async Task<BaseModel> OpenAsync(string idOrPath, string? data, CancellationToken cancellationToken)
        => BaseModel.Open(await PathOfAsync(idOrPath, data, cancellationToken));
}
