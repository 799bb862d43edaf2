using Hone.Formats.Jobs;

namespace Hone.Core.Tests.Finetunes;

public sealed class NotOfferedTests
{
    [Fact]
    public void NotOffered_WhatTheTrainerCannotDo_IsNamed()
    {
        Assert.Empty(new TrainingConfig { Method = "dpo", UseRslora = true, UseDora = true, Precision = "float32" }.NotOffered());
        Assert.Empty(new TrainingConfig { Precision = "as_stored" }.NotOffered());
        Assert.Single(new TrainingConfig { Precision = "bfloat16" }.NotOffered());
    }
}
