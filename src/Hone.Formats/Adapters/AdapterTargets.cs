using Hone.Formats.Models;

namespace Hone.Formats.Adapters;

/// <summary>What a training shall adapt, held against the base model.</summary>
public static class AdapterTargets
{
    /// <param name="targets">The names of modules, or their last parts; null: all linear layers.</param>
    /// <param name="layers">Null: all.</param>
    /// <returns>What the base model does not have, each with what to do; or that nothing is left to learn.</returns>
    public static IReadOnlyList<(string Message, string Hint)> Errors(IReadOnlyList<string>? targets, IReadOnlyList<int>? layers, ModelWeights model)
    {
        IReadOnlyList<string> known = model.Config.LinearNames();
        targets ??= known;
        List<(string, string)> errors =
        [
            .. targets.Where(target => !model.LinearModules.Any(m => ModulePattern.EndsWith(m.Name, target)))
                .Select(target => ($"target_modules: '{target}' matches no module of the base model{NearestName.Hint(target, known)}.", $"It has {string.Join(", ", known)}.")),
            .. (layers ?? []).Where(layer => layer < 0 || layer >= model.Config.Layers)
                .Select(layer => ($"layers_to_transform names layer {layer}, which the base model does not have.", $"It has layers 0 to {model.Config.Layers - 1}.")),
        ];
        var config = new AdapterConfig { Rank = 1, Alpha = 1, TargetModules = targets, LayersToTransform = layers };
        if (errors.Count == 0 && !model.LinearModules.Any(m => config.Targets(m.Name)))
            errors.Add(("target_modules and layers_to_transform together leave no module: nothing would be learnt.", "Name other modules or layers."));
        return errors;
    }
}
